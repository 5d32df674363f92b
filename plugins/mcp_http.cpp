#include "plugins/mcp_http.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "plugins/error.h"
#include "plugins/mcp_headers.h"
#include "tools/text.h"

namespace corvid::plugins {
namespace {

using Clock = HttpExchange::Clock;
using Wake = HttpExchange::Wake;
using std::chrono::milliseconds;

constexpr int kMaxResumptions = 20;  // of one stream, one after the other
constexpr milliseconds kLongestPause{60'000};
constexpr milliseconds kShortestPause{100};  // before it is listened to again
constexpr milliseconds kNoticePatience{10'000};
constexpr milliseconds kEndPatience{1000};  // for a server to hear that its session is over
constexpr std::size_t kMaxErrorBytes = 64 << 10;
constexpr std::size_t kMaxSessionBytes = 1024;
constexpr std::size_t kMaxAsides = 64;

bool is_session_name(std::string_view name) {
  return name.size() <= kMaxSessionBytes &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return c > 0x20 && c < 0x7F; });
}

bool is_type(const HttpExchange& exchange, std::string_view type) {
  return exchange.header("content-type").starts_with(type);
}

std::string status_text(int status) {
  if (status == 401 || status == 403) {
    return "it answers " + std::to_string(status) +
           ": it does not let in who asks like this. A token goes into `headers` of its entry: "
           "\"Authorization\": \"Bearer ${TOKEN}\"";
  }
  if (status == 404 || status == 405) {
    return "it answers " + std::to_string(status) + ": there is no MCP server at this address";
  }
  return "it answers with the HTTP status " + std::to_string(status);
}

// What is told and not asked: until there is an answer, whatever it says, or for so long.
asio::awaitable<void> tell(std::unique_ptr<HttpExchange> exchange, milliseconds patience) {
  exchange->expect_end();
  const auto until = Clock::now() + patience;
  while (exchange->status() == 0 && !exchange->finished()) {
    const Wake wake = co_await exchange->wait(until);
    if (wake != Wake::news) co_return;
  }
}

}  // namespace

struct McpHttp::Stream {
  void note(const SseParser& parser) {
    if (!parser.last_id().empty()) last_event = parser.last_id();
    if (const auto wanted = parser.retry()) retry = std::min(*wanted, kLongestPause);
  }

  std::string last_event;
  milliseconds retry{1000};
};

struct McpHttp::Asked {
  std::int64_t id;
  std::string method;
  std::chrono::seconds patience;
  Clock::time_point deadline;
  Stream stream;
};

McpHttp::McpHttp(asio::any_io_executor io, std::string url, std::vector<std::string> headers,
                 std::shared_ptr<McpLogin> login)
    : io_(std::move(io)),
      client_(io_),
      url_(std::move(url)),
      headers_(std::move(headers)),
      login_(std::move(login)),
      is_loopback_(is_loopback(url_)),
      pause_(io_) {}

bool McpHttp::deliver(McpMessage& answer) {
  const auto found = answers_.find(answer.id);
  if (found == answers_.end() || found->second) return false;
  found->second = std::move(answer);
  return true;
}

// In the new era a server has nothing to ask outside of its results.
void McpHttp::answer(std::string message) {
  if (version() != kMcpNewEra) post_aside(std::move(message));
}

void McpHttp::post_aside(std::string message) {
  std::erase_if(asides_, [](const auto& exchange) { return exchange->finished(); });
  if (asides_.size() >= kMaxAsides) return lose("it asks and does not read the answers");
  asides_.push_back(client_.start(http(std::move(message))));
  asides_.back()->expect_end();
}

HttpRequest McpHttp::http(std::string body) const {
  HttpRequest http;
  http.url = url_;
  http.headers = headers_;
  const std::string token = login_ ? login_->header() : "";
  if (!token.empty()) http.headers.push_back(token);
  http.headers.push_back(body.empty() ? "Accept: text/event-stream"
                                      : "Accept: application/json, text/event-stream");
  if (!body.empty()) http.headers.push_back("Content-Type: application/json");
  if (!version().empty()) http.headers.push_back("MCP-Protocol-Version: " + version());
  if (!session_.empty()) http.headers.push_back("Mcp-Session-Id: " + session_);
  http.body = std::move(body);
  http.direct = is_loopback_;
  return http;
}

HttpRequest McpHttp::post(const McpRequest& request, std::string body) const {
  HttpRequest post = http(std::move(body));
  if (version() != kMcpNewEra) return post;
  post.headers.push_back("Mcp-Method: " + request.method);
  const auto name = request.params.find("name");
  if (name != request.params.end()) {
    post.headers.push_back(header_line("Mcp-Name", name->get<std::string>()));
  }
  post.headers.insert(post.headers.end(), request.headers.begin(), request.headers.end());
  return post;
}

asio::awaitable<void> McpHttp::notify(std::string method) {
  if (lost()) co_return;
  auto exchange = client_.start(http(mcp_notification(method, nullptr)));
  co_await tell(std::move(exchange), kNoticePatience);
}

// The caller's way with cancellations is put back.
asio::awaitable<McpMessage> McpHttp::request(McpRequest request) {
  if (lost()) throw_lost();
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  const std::int64_t id = ++last_id_;
  answers_[id];
  std::optional<McpMessage> answer;
  std::exception_ptr failure;
  try {
    answer = co_await converse(std::move(request), id);
  } catch (...) {
    failure = std::current_exception();
  }
  answers_.erase(id);
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (failure) std::rethrow_exception(failure);
  co_return std::move(*answer);
}

asio::awaitable<McpMessage> McpHttp::converse(McpRequest request, std::int64_t id) {
  Asked asked{id, request.method, request.patience, Clock::now() + request.patience, {}};
  auto exchange = client_.start(post(request, mcp_request(id, request.method, request.params)));
  for (int n_resumed = 0;; ++n_resumed) {
    co_await await_head(*exchange, asked);
    if (exchange->status() != 200) {
      McpMessage refusal = co_await refused(*exchange, asked);
      co_return refusal;
    }
    const std::string session = exchange->header("mcp-session-id");
    if (asked.method == "initialize" && is_session_name(session)) session_ = session;
    if (is_type(*exchange, "text/event-stream")) {
      co_await read_stream(*exchange, asked);
    } else if (is_type(*exchange, "application/json")) {
      const std::string body = co_await read_body(*exchange, asked);
      hear(body);
    } else {
      throw PluginError("it answers " + asked.method + " with neither JSON nor events");
    }
    if (auto& answer = answers_[id]) co_return std::move(*answer);
    if (lost()) throw_lost();
    const bool resumable = version() != kMcpNewEra && !asked.stream.last_event.empty();
    if (!resumable || n_resumed == kMaxResumptions) {
      throw PluginError("it broke off without an answer to " + asked.method);
    }
    exchange = co_await resume(asked);
  }
}

asio::awaitable<void> McpHttp::wait(HttpExchange& exchange, Asked& asked) {
  const Wake wake = co_await exchange.wait(asked.deadline);
  if (wake != Wake::news) give_up(asked, wake == Wake::cancelled);
}

// In the new era the stream that closes says so.
void McpHttp::give_up(const Asked& asked, bool cancelled) {
  const bool knows_id = asked.method != "initialize" && asked.method != "server/discover";
  if (version() != kMcpNewEra && knows_id) post_aside(mcp_cancellation(asked.id, cancelled));
  if (cancelled) throw boost::system::system_error(asio::error::operation_aborted);
  throw PluginError(mcp_silence(asked.method, asked.patience));
}

asio::awaitable<void> McpHttp::await_head(HttpExchange& exchange, Asked& asked) {
  while (exchange.status() == 0 && !exchange.finished()) co_await wait(exchange, asked);
  if (login_ && exchange.status() != 0) login_->found(exchange.peer());
  if (exchange.status() != 0) co_return;
  const HttpFailure& failure = exchange.failure();
  if (failure.kind == HttpFailure::Kind::lost) throw PluginError(failure.text);
  lose(failure.text);
  throw_lost();
}

asio::awaitable<void> McpHttp::read_stream(HttpExchange& exchange, Asked& asked) {
  SseParser parser(kMaxMcpMessageBytes);
  while (hear_events(exchange, parser) && !answers_[asked.id]) co_await wait(exchange, asked);
  asked.stream.note(parser);
}

// What has come; false when nothing more will.
bool McpHttp::hear_events(HttpExchange& exchange, SseParser& parser) {
  const bool is_over = exchange.finished();
  parser.feed(exchange.take());
  if (is_over) parser.end();
  if (parser.overflowed()) lose("it sent an event of more than 8 MiB");
  while (const auto event = parser.next()) hear(event->data);
  return !is_over && !lost();
}

// Of an answer, or of an error.
asio::awaitable<std::string> McpHttp::read_body(HttpExchange& exchange, Asked& asked) {
  const std::size_t limit = exchange.status() == 200 ? kMaxMcpMessageBytes : kMaxErrorBytes;
  std::string body = exchange.take();
  while (!exchange.finished() && body.size() <= limit) {
    co_await wait(exchange, asked);
    body += exchange.take();
  }
  if (body.size() > limit) {
    lose("it sent more than " + std::to_string(limit >> 10) + " KiB as one answer");
    throw_lost();
  }
  co_return body;
}

// A server may put an error of the protocol into any status; else the status is all it says.
asio::awaitable<McpMessage> McpHttp::refused(HttpExchange& exchange, Asked& asked) {
  const int status = exchange.status();
  if (status == 404 && !session_.empty()) {
    expire();
    throw_lost();
  }
  const std::string body = co_await read_body(exchange, asked);
  if (login_ && (status == 401 || status == 403)) {
    AuthChallenge challenge = parse_challenge(exchange.headers("www-authenticate"));
    if (status == 401 || challenge.error == "insufficient_scope") {
      if (status == 401) challenge.error.clear();
      login_->challenge(std::move(challenge));
      throw PluginError("it wants a login");
    }
  }
  if (auto error = parse_mcp_error(body)) co_return std::move(*error);
  std::string text = status_text(status);
  if (status == 401 || status == 403) {
    lose(text);
    throw_lost();
  }
  if (status / 100 == 3) {
    text = "it redirects to " + tools::visible_name(exchange.header("location")) +
           ", which is not followed: that address belongs into `url`";
  }
  throw PluginError(text);
}

asio::awaitable<std::unique_ptr<HttpExchange>> McpHttp::resume(Asked& asked) {
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  asio::steady_timer pause(io_, std::min(Clock::now() + asked.stream.retry, asked.deadline));
  co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
  const bool cancelled = cancellation.cancelled() != asio::cancellation_type::none;
  if (cancelled || Clock::now() >= asked.deadline) give_up(asked, cancelled);
  co_return client_.start(get(asked.stream));
}

HttpRequest McpHttp::get(const Stream& stream) const {
  HttpRequest get = http({});
  if (!stream.last_event.empty()) {
    get.headers.push_back(header_line("Last-Event-ID", stream.last_event));
  }
  return get;
}

// --- What a server of the old era says unasked. --------------------------------------------------

void McpHttp::listen() {
  auto work = hear_unasked(shared_from_this());
  asio::co_spawn(io_, std::move(work), [self = shared_from_this()](std::exception_ptr error) {
    if (error) self->lose("it could not be listened to");
  });
}

void McpHttp::hang_up() {
  if (heard_) heard_->stop();
  pause_.cancel();
  if (session_.empty() || expired()) return;
  try {
    leave_session();
  } catch (const std::exception&) {
    return;  // it is a courtesy
  }
}

// A server keeps a session until it is told that nobody needs it any more. At the end of the
// program the loop has stopped, and one that is made for that tells it.
void McpHttp::leave_session() {
  HttpRequest request = http({});
  request.method = "DELETE";
  if (!static_cast<asio::io_context&>(io_.context()).stopped()) {
    auto telling = tell(client_.start(std::move(request)), kEndPatience);
    asio::co_spawn(io_, std::move(telling), [](std::exception_ptr) {});
    return;
  }
  asio::io_context last(1);
  HttpClient client(last.get_executor());
  auto telling = tell(client.start(std::move(request)), kEndPatience);
  asio::co_spawn(last, std::move(telling), [&last](std::exception_ptr) { last.stop(); });
  last.run();
}

// A stream that brings nothing is opened again after pauses that grow.
asio::awaitable<void> McpHttp::hear_unasked(std::shared_ptr<McpHttp> self) {
  Stream stream;
  milliseconds pause = kShortestPause;
  while (!self->lost()) {
    const std::string last = stream.last_event;
    const bool goes_on = co_await self->hear_once(stream);
    if (!goes_on) co_return;
    pause = stream.last_event == last ? std::min(2 * pause, kLongestPause) : kShortestPause;
    self->pause_.expires_after(std::max(pause, stream.retry));
    co_await self->pause_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

// False when the server has no such stream, or no session any more.
asio::awaitable<bool> McpHttp::hear_once(Stream& stream) {
  heard_ = client_.start(get(stream));
  const auto never = Clock::time_point::max();
  while (heard_->status() == 0 && !heard_->finished()) co_await heard_->wait(never);
  const int status = heard_->status();
  if (status == 404 && !session_.empty()) expire();
  if (status != 0 && (status != 200 || !is_type(*heard_, "text/event-stream"))) co_return false;
  SseParser parser(kMaxMcpMessageBytes);
  while (hear_events(*heard_, parser)) co_await heard_->wait(never);
  stream.note(parser);
  co_return !lost();
}

}  // namespace corvid::plugins
