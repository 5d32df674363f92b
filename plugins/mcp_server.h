// One MCP server, a process or behind a URL: reached when it is first needed, spoken to in the era
// of the protocol that it knows (2026-07-28 without a handshake, or before that with one), and
// reached anew, after a pause that grows, when it has broken down. What a project brings along is
// used when the user agrees; every server is asked about again when its tools have changed. io
// thread only.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plugins/mcp_config.h"
#include "plugins/mcp_connection.h"
#include "plugins/mcp_form.h"
#include "plugins/mcp_login.h"
#include "plugins/mcp_trust.h"
#include "tools/tool.h"

namespace corvid::plugins {

struct McpPatience {
  std::chrono::seconds start{60};  // until it has answered for the first time: it may be installed
  std::chrono::seconds probe{10};  // for the question whether it knows the new era
  std::chrono::seconds list{30};
  std::chrono::seconds call{600};
};

class McpServer {
 public:
  McpServer(McpServerSpec spec, McpPatience patience, Notice notice = {});
  ~McpServer();
  McpServer(McpServer&&) noexcept = default;

  const McpServerSpec& spec() const { return spec_; }

  // PluginError with the reason when the server cannot be used now.
  asio::awaitable<const std::vector<McpTool>*> tools(tools::ToolContext& context);
  asio::awaitable<McpResult> call(McpTool tool, nlohmann::ordered_json arguments,
                                  tools::ToolContext& context);
  // The user logs in, whatever login there is: says where. PluginError when that fails.
  asio::awaitable<std::string> log_in(ShowUrl show);
  // A text of the server as it may be shown: without what only the server was to know.
  std::string redacted(std::string text) const;

 private:
  asio::awaitable<void> connect(tools::ToolContext& context);
  asio::awaitable<void> allow(tools::ToolContext& context);
  asio::awaitable<void> open(tools::ToolContext& context);
  asio::awaitable<void> shake_hands();
  asio::awaitable<bool> speaks_new_era();
  asio::awaitable<std::vector<McpTool>> list(tools::ToolContext& context);
  asio::awaitable<void> agree_to(std::vector<McpTool> tools, tools::ToolContext& context);
  asio::awaitable<nlohmann::ordered_json> ask(McpRequest request);
  // Once more on a new connection when the old one has ended in good order, or with a new login.
  asio::awaitable<nlohmann::ordered_json> ask_again(McpRequest request,
                                                    tools::ToolContext& context);
  asio::awaitable<McpResult> converse(McpRequest request, tools::ToolContext& context);
  bool wants_login() const { return login_ && login_->challenged(); }
  void note_failure();

  McpServerSpec spec_;
  McpPatience patience_;
  std::shared_ptr<McpConnection> connection_;  // null: not started
  std::shared_ptr<McpDesk> desk_;
  std::shared_ptr<McpLogin> login_;  // null: it is not asked for, or the headers say who we are
  bool new_era_ = false;
  McpTrust trust_;
  bool allowed_ = false;  // by the user, in this session
  std::optional<std::vector<McpTool>> tools_;
  int n_failures_ = 0;      // one after the other
  std::string why_broken_;  // ": it has ended"; may be empty
  std::chrono::steady_clock::time_point not_before_{};
};

}  // namespace corvid::plugins
