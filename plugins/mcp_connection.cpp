#include "plugins/mcp_connection.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "plugins/error.h"
#include "tools/text.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxLineBytes = 8 << 20;
constexpr int kMaxGarbage = 1000;  // lines that are no message, or answer nothing
constexpr int kMethodNotFound = -32601;
constexpr std::size_t kShownErrorBytes = 1000;

}  // namespace

struct McpConnection::Waiting {
  explicit Waiting(const asio::any_io_executor& io)
      : changed(io, asio::steady_timer::time_point::max()) {}
  std::optional<McpMessage> answer;
  asio::steady_timer changed;
};

asio::awaitable<void> McpConnection::open(sandbox::Sandbox& sandbox, sandbox::ProcessSpec spec) {
  spec.open_input = true;
  spec.errors_apart = true;
  spec.deadline = std::chrono::hours(24 * 365);
  spec.head_bytes = spec.tail_bytes = 0;
  spec.on_output = [weak = weak_from_this()](std::string_view bytes) {
    if (const auto self = weak.lock()) self->hear(bytes);
  };
  process_ = co_await sandbox.start(std::move(spec));
  open_ = true;
  auto work = watch(shared_from_this());
  asio::co_spawn(io_, std::move(work), [self = shared_from_this()](std::exception_ptr error) {
    if (error) self->lose("it could not be watched");
  });
}

asio::awaitable<void> McpConnection::watch(std::shared_ptr<McpConnection> self) {
  while (!self->process_.ended()) {
    co_await self->process_.wait(std::chrono::steady_clock::time_point::max());
  }
  if (self->lost()) co_return;
  std::string why = "it has ended";
  try {
    const sandbox::ProcessResult end = self->process_.take();
    if (end.exit_code) why += " with exit code " + std::to_string(*end.exit_code);
    if (end.signal) why += " by signal " + std::to_string(*end.signal);
    const std::string errors = tools::escape_invalid(end.errors);
    if (!errors.empty()) why += ":\n" + std::string(tools::utf8_suffix(errors, kShownErrorBytes));
  } catch (const std::exception& problem) {
    why = problem.what();
  }
  self->lose(why);
}

void McpConnection::close() {
  lose("it was closed");
}

void McpConnection::lose(const std::string& why) {
  if (lost()) return;
  why_lost_ = why;
  if (open_) process_.end();
  for (const auto& [id, waiting] : waiting_) waiting->changed.cancel();
}

void McpConnection::hear(std::string_view bytes) {
  while (!bytes.empty() && !lost()) {
    const std::size_t end = bytes.find('\n');
    line_.append(bytes.substr(0, end));
    if (line_.size() > kMaxLineBytes) return lose("it sent a line of more than 8 MiB");
    if (end == bytes.npos) return;
    bytes.remove_prefix(end + 1);
    const std::string line = std::exchange(line_, {});
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    if (auto message = parse_mcp_message(line)) {
      take(std::move(*message));
    } else if (++n_garbage_ > kMaxGarbage) {
      lose("it sends what is no MCP");
    }
  }
}

void McpConnection::take(McpMessage message) {
  using Kind = McpMessage::Kind;
  if (message.kind == Kind::request) {
    const bool ping = message.method == "ping";
    const std::string answer =
        ping ? ordered_json{{"jsonrpc", "2.0"},
                            {"id", message.their_id},
                            {"result", ordered_json::object()}}
                       .dump() +
                   "\n"
             : mcp_refusal(message.their_id, kMethodNotFound, "not supported");
    if (!process_.write(answer)) lose("it asks and does not read the answers");
  } else if (message.kind == Kind::notification) {
    list_changed_ |= message.method == "notifications/tools/list_changed";
  } else {
    const auto found = waiting_.find(message.id);
    if (found == waiting_.end() || found->second->answer) {
      if (++n_garbage_ > kMaxGarbage) lose("it answers what was not asked");
      return;
    }
    found->second->answer = std::move(message);
    found->second->changed.cancel();
  }
}

void McpConnection::notify(std::string_view method, ordered_json params) {
  if (!lost()) process_.write(mcp_notification(method, std::move(params)));
}

asio::awaitable<McpMessage> McpConnection::request(std::string method, ordered_json params,
                                                   std::chrono::seconds patience) {
  if (lost()) throw PluginError(why_lost_);
  const auto self = shared_from_this();
  const std::int64_t id = ++last_id_;
  const auto waiting = std::make_shared<Waiting>(io_);
  waiting_[id] = waiting;
  if (!process_.write(mcp_request(id, method, std::move(params)))) lose("it does not read");
  waiting->changed.expires_after(patience);
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  boost::system::error_code woken;
  if (!waiting->answer && !lost()) {
    co_await waiting->changed.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
  const auto state = co_await asio::this_coro::cancellation_state;
  co_await asio::this_coro::throw_if_cancelled(throws);
  waiting_.erase(id);
  if (waiting->answer) co_return std::move(*waiting->answer);
  const bool cancelled = state.cancelled() != asio::cancellation_type::none;
  const std::string reason = cancelled ? "cancelled" : "no answer in time";
  notify("notifications/cancelled", {{"requestId", id}, {"reason", reason}});
  if (cancelled) throw boost::system::system_error(asio::error::operation_aborted);
  if (lost()) throw PluginError(why_lost_);
  throw PluginError("it did not answer " + method + " in " + std::to_string(patience.count()) +
                    " s");
}

}  // namespace corvid::plugins
