#include "plugins/mcp_server.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "plugins/error.h"
#include "tools/approval.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;
using std::chrono::steady_clock;

constexpr const char* kNewEra = "2026-07-28";
constexpr const char* kOldEra = "2025-11-25";
constexpr std::size_t kMaxTools = 2000;
constexpr int kMaxPages = 100;
constexpr std::chrono::seconds kLongestPause{60};

ordered_json client_info() {
  return {{"name", "corvid"}, {"version", "1"}};
}

// What every request of the new era carries instead of a handshake.
ordered_json about_us() {
  return {{"io.modelcontextprotocol/protocolVersion", kNewEra},
          {"io.modelcontextprotocol/clientCapabilities", ordered_json::object()},
          {"io.modelcontextprotocol/clientInfo", client_info()}};
}

bool names_new_era(const ordered_json& list) {
  return list.is_array() && std::find(list.begin(), list.end(), kNewEra) != list.end();
}

std::string command_line(const std::vector<std::string>& argv) {
  std::string line;
  for (const std::string& word : argv) line += (line.empty() ? "" : " ") + word;
  return line;
}

}  // namespace

McpServer::McpServer(McpServerSpec spec, McpPatience patience)
    : spec_(std::move(spec)), patience_(patience) {}

McpServer::~McpServer() {
  if (connection_) connection_->close();
}

void McpServer::note_failure() {
  if (connection_) connection_->close();
  connection_.reset();
  tools_.reset();
  const auto pause = std::chrono::seconds(1 << std::min(n_failures_++, 10));
  not_before_ = steady_clock::now() + std::min(pause, kLongestPause);
}

asio::awaitable<void> McpServer::connect(tools::ToolContext& context) {
  if (connection_ && !connection_->lost()) co_return;
  if (connection_) note_failure();
  if (!spec_.problem.empty()) throw PluginError(spec_.problem);
  if (steady_clock::now() < not_before_) {
    throw PluginError("it has broken down and is started again in some seconds");
  }
  const std::string command = command_line(spec_.argv);
  if (!spec_.trusted) {
    tools::Request request{"start the MCP server " + spec_.name + " of this project: " + command,
                           "start " + command, "--mcp .mcp.json"};
    tools::Verdict verdict{false, "It comes with the project, and nobody has allowed it."};
    if (context.approve) verdict = co_await context.approve(std::move(request));
    if (!verdict.allowed) throw PluginError("it was not started. " + verdict.why);
  }
  const tools::Verdict verdict = co_await tools::may_run(command, context);
  if (!verdict.allowed) throw PluginError("it was not started. " + verdict.why);
  connection_ = std::make_shared<McpConnection>(co_await asio::this_coro::executor);
  try {
    sandbox::ProcessSpec process;
    process.argv = spec_.argv;
    process.extra_environment = spec_.environment;
    co_await connection_->open(context.sandbox, std::move(process));
    co_await shake_hands();
  } catch (...) {
    note_failure();
    throw;
  }
  n_failures_ = 0;
}

// Asks in the new way first; a server of the old era does not know the question.
asio::awaitable<bool> McpServer::speaks_new_era() {
  ordered_json params = {{"_meta", about_us()}};
  std::optional<McpMessage> answer;
  try {
    answer = co_await connection_->request("server/discover", std::move(params), patience_.probe);
  } catch (const PluginError&) {
    if (connection_->lost()) throw;
    co_return false;  // it says nothing to what it does not know
  }
  const ordered_json& body = answer->body;
  if (answer->kind == McpMessage::Kind::result) {
    co_return names_new_era(body.value("supportedVersions", ordered_json()));
  }
  const ordered_json data = body.value("data", ordered_json::object());
  co_return data.is_object() && names_new_era(data.value("supported", ordered_json()));
}

asio::awaitable<void> McpServer::shake_hands() {
  new_era_ = co_await speaks_new_era();
  if (new_era_) co_return;
  ordered_json params = {{"protocolVersion", kOldEra},
                         {"capabilities", ordered_json::object()},
                         {"clientInfo", client_info()}};
  co_await ask("initialize", std::move(params), patience_.start);
  connection_->notify("notifications/initialized");
}

// PluginError when the server answers with an error.
asio::awaitable<ordered_json> McpServer::ask(std::string method, ordered_json params,
                                             std::chrono::seconds patience) {
  if (new_era_) params["_meta"] = about_us();
  const auto connection = connection_;
  McpMessage answer = co_await connection->request(method, std::move(params), patience);
  if (answer.kind == McpMessage::Kind::error) throw PluginError("it says: " + answer.error_text());
  co_return std::move(answer.body);
}

asio::awaitable<const std::vector<McpTool>*> McpServer::tools(tools::ToolContext& context) {
  co_await connect(context);
  if (connection_->take_list_changed()) tools_.reset();
  if (tools_) co_return &*tools_;
  std::vector<McpTool> all;
  ordered_json params = ordered_json::object();
  for (int pages = 0; pages < kMaxPages && all.size() < kMaxTools; ++pages) {
    const ordered_json result = co_await ask("tools/list", params, patience_.list);
    McpToolPage page = read_tool_page(result);
    all.insert(all.end(), page.tools.begin(), page.tools.end());
    if (page.next.empty()) break;
    params = {{"cursor", page.next}};
  }
  tools_ = std::move(all);
  co_return &*tools_;
}

asio::awaitable<McpResult> McpServer::call(std::string tool, ordered_json arguments,
                                           tools::ToolContext& context) {
  co_await connect(context);
  ordered_json params = {{"name", tool}, {"arguments", std::move(arguments)}};
  const ordered_json result = co_await ask("tools/call", std::move(params), patience_.call);
  co_return read_call_result(result);
}

}  // namespace corvid::plugins
