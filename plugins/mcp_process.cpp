#include "plugins/mcp_process.h"

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

constexpr std::size_t kShownErrorBytes = 1000;

}  // namespace

struct McpProcess::Waiting {
  explicit Waiting(const asio::any_io_executor& io)
      : changed(io, asio::steady_timer::time_point::max()) {}
  std::optional<McpMessage> answer;
  asio::steady_timer changed;
};

asio::awaitable<void> McpProcess::open(sandbox::Sandbox& sandbox, sandbox::ProcessSpec spec) {
  spec.open_input = true;
  spec.errors_apart = true;
  spec.deadline = std::chrono::hours(24 * 365);
  spec.head_bytes = spec.tail_bytes = 0;
  spec.on_output = [weak = weak_from_this()](std::string_view bytes) {
    if (const auto self = weak.lock()) self->take(bytes);
  };
  process_ = co_await sandbox.start(std::move(spec));
  open_ = true;
  auto work = watch(shared_from_this());
  asio::co_spawn(io_, std::move(work), [self = shared_from_this()](std::exception_ptr error) {
    if (error) self->lose("it could not be watched");
  });
}

asio::awaitable<void> McpProcess::watch(std::shared_ptr<McpProcess> self) {
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

void McpProcess::hang_up() {
  if (open_) process_.end();
  for (const auto& [id, waiting] : waiting_) waiting->changed.cancel();
}

void McpProcess::take(std::string_view bytes) {
  while (!bytes.empty() && !lost()) {
    const std::size_t end = bytes.find('\n');
    line_.append(bytes.substr(0, end));
    if (line_.size() > kMaxMcpMessageBytes) return lose("it sent a line of more than 8 MiB");
    if (end == bytes.npos) return;
    bytes.remove_prefix(end + 1);
    const std::string line = std::exchange(line_, {});
    hear(line);
  }
}

bool McpProcess::deliver(McpMessage& answer) {
  const auto found = waiting_.find(answer.id);
  if (found == waiting_.end() || found->second->answer) return false;
  found->second->answer = std::move(answer);
  found->second->changed.cancel();
  return true;
}

void McpProcess::answer(std::string message) {
  if (!process_.write(message)) lose("it asks and does not read the answers");
}

asio::awaitable<void> McpProcess::notify(std::string method) {
  if (!lost()) process_.write(mcp_notification(method, nullptr));
  co_return;
}

asio::awaitable<McpMessage> McpProcess::request(McpRequest request) {
  if (lost()) throw_lost();
  const auto self = shared_from_this();
  const std::int64_t id = ++last_id_;
  const auto waiting = std::make_shared<Waiting>(io_);
  waiting_[id] = waiting;
  if (!process_.write(mcp_request(id, request.method, std::move(request.params)))) {
    lose("it does not read");
  }
  waiting->changed.expires_after(request.patience);
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
  if (!lost()) process_.write(mcp_cancellation(id, cancelled));
  if (cancelled) throw boost::system::system_error(asio::error::operation_aborted);
  if (lost()) throw_lost();
  throw PluginError(mcp_silence(request.method, request.patience));
}

}  // namespace corvid::plugins
