#include "plugins/mcp_server.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "plugins/error.h"
#include "plugins/mcp_http.h"
#include "plugins/mcp_process.h"
#include "tools/approval.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;
using std::chrono::steady_clock;

constexpr const char* kOldEra[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};
constexpr std::size_t kMaxTools = 2000;
constexpr int kMaxPages = 100;
constexpr int kMaxRounds = 8;  // of a call that wants more each time
constexpr int kMaxLogins = 2;  // in one request: to be known at all, and to be allowed more
constexpr std::chrono::seconds kLongestPause{60};

ordered_json client_info() {
  return {{"name", "corvid"}, {"version", "1"}};
}

ordered_json capabilities() {
  return {{"elicitation", {{"form", ordered_json::object()}}}};
}

// What every request of the new era carries instead of a handshake.
ordered_json about_us() {
  return {{"io.modelcontextprotocol/protocolVersion", kMcpNewEra},
          {"io.modelcontextprotocol/clientCapabilities", capabilities()},
          {"io.modelcontextprotocol/clientInfo", client_info()}};
}

bool names_who_asks(const McpServerSpec& spec) {
  constexpr std::string_view kName = "authorization:";
  const auto is_it = [&](const std::string& header) {
    return header.size() > kName.size() &&
           std::equal(kName.begin(), kName.end(), header.begin(), [](char name, char c) {
             return name == (c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
           });
  };
  return std::any_of(spec.headers.begin(), spec.headers.end(), is_it);
}

bool names_new_era(const ordered_json& list) {
  return list.is_array() && std::find(list.begin(), list.end(), kMcpNewEra) != list.end();
}

// Codes that the new era brought: a header or a capability is missing, the version is another.
bool is_of_new_era(const McpMessage& answer) {
  const ordered_json code = answer.body.value("code", ordered_json());
  const bool is_error = answer.kind == McpMessage::Kind::error && code.is_number_integer();
  return is_error && code >= -32022 && code <= -32020;
}

ordered_json result_of(McpMessage answer) {
  if (answer.kind == McpMessage::Kind::error) throw PluginError("it says: " + answer.error_text());
  return std::move(answer.body);
}

}  // namespace

McpServer::McpServer(McpServerSpec spec, McpPatience patience, Notice notice)
    : spec_(std::move(spec)),
      patience_(patience),
      desk_(std::make_shared<McpDesk>(spec_.name)),
      trust_(spec_.memory, spec_.entry) {
  if (!spec_.url.empty() && !names_who_asks(spec_)) {
    login_ = std::make_shared<McpLogin>(spec_, std::move(notice));
  }
}

McpServer::~McpServer() {
  if (connection_) connection_->close();
}

void McpServer::note_failure() {
  why_broken_.clear();
  if (connection_ && connection_->lost()) why_broken_ = ": " + connection_->why_lost();
  if (connection_) connection_->close();
  connection_.reset();
  tools_.reset();
  const auto pause = std::chrono::seconds(1 << std::min(n_failures_++, 10));
  not_before_ = steady_clock::now() + std::min(pause, kLongestPause);
}

asio::awaitable<void> McpServer::connect(tools::ToolContext& context) {
  if (connection_ && !connection_->lost()) co_return;
  if (connection_ && !connection_->expired()) note_failure();
  tools_.reset();
  if (!spec_.problem.empty()) throw PluginError(spec_.problem);
  if (steady_clock::now() < not_before_) {
    throw PluginError("it has broken down and is started again in some seconds" + why_broken_);
  }
  co_await allow(context);
  for (int n_logins = 0;; ++n_logins) {
    try {
      co_await open(context);
      co_await shake_hands();
      break;
    } catch (...) {
      if (!wants_login() || n_logins == kMaxLogins) {
        note_failure();
        throw;
      }
    }
    connection_.reset();  // whoever logs in may take long, and is no failure of the server's
    co_await login_->answer(context);
  }
  n_failures_ = 0;
}

// What a project brings along is used when the user agrees; who sees what he agrees to.
asio::awaitable<void> McpServer::allow(tools::ToolContext& context) {
  const bool remote = !spec_.url.empty();
  if (!spec_.trusted && !allowed_ && !trust_.agreed()) {
    std::string what = (remote ? "use the MCP server " : "start the MCP server ") + spec_.name +
                       " of this project: " + spec_.shown;
    for (const std::string& name : spec_.variables) {
      what += (&name == &spec_.variables.front() ? "\nwith your environment's " : ", ") + name;
    }
    tools::Request request{what, (remote ? "use " : "start ") + spec_.shown, "--mcp .mcp.json"};
    tools::Verdict verdict{false, "It comes with the project, and nobody has allowed it."};
    if (context.approve) verdict = co_await context.approve(std::move(request));
    if (!verdict.allowed) throw PluginError("it was not started. " + verdict.why);
    allowed_ = true;
    if (verdict.always) trust_.agree();
  }
  if (remote) co_return;
  const tools::Verdict verdict = co_await tools::may_run(spec_.shown, context);
  if (!verdict.allowed) throw PluginError("it was not started. " + verdict.why);
}

asio::awaitable<void> McpServer::open(tools::ToolContext& context) {
  const auto io = co_await asio::this_coro::executor;
  if (!spec_.url.empty()) {
    connection_ = std::make_shared<McpHttp>(io, spec_.url, spec_.headers, login_);
    desk_->serve(connection_);
    co_return;
  }
  const auto process = std::make_shared<McpProcess>(io);
  connection_ = process;
  desk_->serve(connection_);
  sandbox::ProcessSpec what;
  what.argv = spec_.argv;
  what.extra_environment = spec_.environment;
  co_await process->open(context.sandbox, std::move(what));
}

// Asks in the new way first; a server of the old era does not know the question.
asio::awaitable<bool> McpServer::speaks_new_era() {
  connection_->speak(kMcpNewEra);
  McpRequest request{"server/discover", ordered_json::object(), patience_.probe, {}};
  request.params["_meta"] = about_us();
  std::optional<McpMessage> answer;
  try {
    answer = co_await connection_->request(std::move(request));
  } catch (const PluginError&) {
    if (connection_->lost() || wants_login()) throw;
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
  connection_->speak({});
  ordered_json params = {{"protocolVersion", kOldEra[0]},
                         {"capabilities", capabilities()},
                         {"clientInfo", client_info()}};
  McpRequest request{"initialize", std::move(params), patience_.start, {}};
  McpMessage answer = co_await connection_->request(std::move(request));
  new_era_ = is_of_new_era(answer);  // it was slow to answer the first question
  if (new_era_) {
    connection_->speak(kMcpNewEra);
    co_return;
  }
  const ordered_json result = result_of(std::move(answer));
  const ordered_json version = result.value("protocolVersion", ordered_json());
  if (std::find(std::begin(kOldEra), std::end(kOldEra), version) == std::end(kOldEra)) {
    throw PluginError("it speaks a version of the protocol that Corvid does not know");
  }
  connection_->speak(version.get<std::string>());
  co_await connection_->notify("notifications/initialized");
  connection_->listen();
}

// PluginError when the server answers with an error.
asio::awaitable<ordered_json> McpServer::ask(McpRequest request) {
  if (new_era_) request.params["_meta"] = about_us();
  const auto connection = connection_;
  McpMessage answer = co_await connection->request(std::move(request));
  co_return result_of(std::move(answer));
}

asio::awaitable<ordered_json> McpServer::ask_again(McpRequest request,
                                                   tools::ToolContext& context) {
  bool renewed = false;
  for (int n_logins = 0;;) {
    co_await connect(context);
    try {
      McpRequest again = request;
      ordered_json result = co_await ask(std::move(again));
      co_return result;
    } catch (const PluginError&) {
      const bool is_over = connection_->expired() && !std::exchange(renewed, true);
      const bool may_log_in = wants_login() && n_logins++ < kMaxLogins;
      if (!is_over && !may_log_in) throw;
    }
    if (wants_login()) co_await login_->answer(context);
  }
}

asio::awaitable<std::string> McpServer::log_in(ShowUrl show) {
  if (!spec_.problem.empty()) throw PluginError(spec_.problem);
  if (!login_) throw PluginError("it is not one that is logged in to");
  const auto io = co_await asio::this_coro::executor;
  connection_ = std::make_shared<McpHttp>(io, spec_.url, spec_.headers, login_);
  try {
    co_await speaks_new_era();  // what it wants, and where it lies, shows in its answer
  } catch (const PluginError&) {
    if (!wants_login()) throw;
  }
  std::string issuer = co_await login_->log_in(std::move(show));
  co_return issuer;
}

asio::awaitable<std::vector<McpTool>> McpServer::list(tools::ToolContext& context) {
  std::vector<McpTool> all;
  ordered_json params = ordered_json::object();
  for (int pages = 0; pages < kMaxPages && all.size() < kMaxTools; ++pages) {
    McpRequest request{"tools/list", params, patience_.list, {}};
    const ordered_json result = co_await ask_again(std::move(request), context);
    McpToolPage page = read_tool_page(result);
    all.insert(all.end(), page.tools.begin(), page.tools.end());
    if (page.next.empty()) break;
    params = {{"cursor", page.next}};
  }
  co_return all;
}

asio::awaitable<const std::vector<McpTool>*> McpServer::tools(tools::ToolContext& context) {
  co_await connect(context);
  if (connection_->take_list_changed()) tools_.reset();
  if (tools_) co_return &*tools_;
  std::vector<McpTool> now = co_await list(context);
  co_await agree_to(now, context);
  tools_ = std::move(now);
  co_return &*tools_;
}

// The model is told the names alone: a description is what it is to be protected from.
asio::awaitable<void> McpServer::agree_to(std::vector<McpTool> tools, tools::ToolContext& context) {
  const McpToolChanges changes = trust_.changes(tools);
  if (!changes.empty()) {
    const std::string what = "the MCP server " + spec_.name + ", whose tools have changed";
    tools::Request request{"use " + what + ":\n" + redacted(changes.in_full()),
                           "use the changed tools of " + spec_.name, spec_.trust_command};
    tools::Verdict verdict{false, "Nobody has agreed to that."};
    if (context.approve) verdict = co_await context.approve(std::move(request));
    if (!verdict.allowed) {
      throw PluginError("its tools have changed since you agreed to them (" + changes.names() +
                        "). " + verdict.why);
    }
  }
  trust_.know(tools);
}

asio::awaitable<McpResult> McpServer::call(McpTool tool, ordered_json arguments,
                                           tools::ToolContext& context) {
  McpRequest request{"tools/call", {{"name", tool.name}}, patience_.call, {}};
  request.headers = mirror(tool.mirrors, arguments);
  request.params["arguments"] = std::move(arguments);
  desk_->open(context);
  std::optional<McpResult> result;
  std::exception_ptr failure;
  try {
    result = co_await converse(std::move(request), context);
  } catch (...) {
    failure = std::current_exception();
  }
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await desk_->close();
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (failure) std::rethrow_exception(failure);
  co_return std::move(*result);
}

// In the new era what a server asks stands in its result, and the call is repeated with answers.
asio::awaitable<McpResult> McpServer::converse(McpRequest request, tools::ToolContext& context) {
  McpRequest next = request;
  for (int round = 1;; ++round) {
    const ordered_json result = co_await ask_again(std::move(next), context);
    const auto forms = wanted_forms(result);
    if (!forms || round == kMaxRounds) co_return read_call_result(result);
    ordered_json answers = ordered_json::object();
    for (const auto& [key, form] : forms->items()) {
      ordered_json answer = co_await fill_in(form, spec_.name, context);
      answers[key] = std::move(answer);
    }
    next = request;
    next.params.update(with_answers(result, std::move(answers)));
  }
}

std::string McpServer::redacted(std::string text) const {
  for (const Secret& secret : spec_.secrets) text = secret.redacted(std::move(text));
  return login_ ? login_->redacted(std::move(text)) : text;
}

}  // namespace corvid::plugins
