// The line to one running MCP server: its process in the sandbox, what we asked and wait for, and
// what it says of itself. Whatever it does, a request ends: with an answer, at its time limit, or
// when the server is gone. io thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "plugins/mcp_message.h"
#include "sandbox/sandbox.h"

namespace corvid::plugins {

namespace asio = boost::asio;

class McpConnection : public std::enable_shared_from_this<McpConnection> {
 public:
  explicit McpConnection(asio::any_io_executor io) : io_(std::move(io)) {}

  // SandboxError when it cannot be started.
  asio::awaitable<void> open(sandbox::Sandbox& sandbox, sandbox::ProcessSpec spec);
  // Ends the server.
  void close();

  // A result or an error of the server. PluginError: no answer in time, or the server is gone; a
  // cancellation tells the server and goes on as one.
  asio::awaitable<McpMessage> request(std::string method, nlohmann::ordered_json params,
                                      std::chrono::seconds patience);
  void notify(std::string_view method, nlohmann::ordered_json params = nullptr);

  bool lost() const { return !why_lost_.empty(); }
  // Since the last time: that its list of tools has changed.
  bool take_list_changed() { return std::exchange(list_changed_, false); }

 private:
  struct Waiting;
  void hear(std::string_view bytes);
  void take(McpMessage message);
  void lose(const std::string& why);
  static asio::awaitable<void> watch(std::shared_ptr<McpConnection> self);

  asio::any_io_executor io_;
  sandbox::Process process_;
  bool open_ = false;
  std::string line_;  // what came of the next message
  int n_garbage_ = 0;
  std::int64_t last_id_ = 0;
  std::map<std::int64_t, std::shared_ptr<Waiting>> waiting_;
  bool list_changed_ = false;
  std::string why_lost_;
};

}  // namespace corvid::plugins
