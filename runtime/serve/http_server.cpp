#include "runtime/serve/http_server.h"

#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <set>

#include "runtime/error.h"

namespace corvid::runtime {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using boost::system::system_error;

constexpr std::size_t kFirstReadBytes = 4096;
// Of what is read and not yet understood: the parser bounds neither a chunk's extension nor the
// trailer, and waits for their line ends.
constexpr std::size_t kMaxBufferBytes = 128 * 1024;
constexpr std::size_t kMaxUnreadBytes = 1 << 20;  // of a refused request, read and thrown away
constexpr std::string_view kTooMany =
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
    "Connection: close\r\n\r\n";
constexpr auto kGoodbye = std::chrono::seconds(2);

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string_view text_of(beast::string_view text) {
  return {text.data(), text.size()};
}

// What a head that the parser refuses is answered with; 0: nothing, the client is gone.
int status_of(error_code error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) return 431;
  if (error == http::error::body_limit) return 413;
  if (error == asio::error::no_memory) return 503;
  if (error == http::error::end_of_stream || error == http::error::partial_message) return 0;
  return error.category() == make_error_code(http::error::bad_target).category() ? 400 : 0;
}

// As HTTP has it: "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7).
std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts;
  char text[32];
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
  return text;
}

std::string why(int status) {
  if (status == 431) return "the request's head, a chunk's line or the trailer is too large";
  if (status == 413) return "the request's body is too large";
  if (status == 503) return "the server reads too much at once; try again later";
  return "this is not an HTTP/1.1 request";
}

}  // namespace

struct Exchange::Connection : std::enable_shared_from_this<Exchange::Connection> {
  Connection(tcp::socket socket, HttpLimits limits, std::shared_ptr<std::uint64_t> bodies)
      : stream(std::move(socket)), limits(limits), bodies(std::move(bodies)) {}
  ~Connection() { hold(0); }

  // Of this request's body; false: all connections together hold too much.
  bool hold(std::uint64_t n_bytes) {
    *bodies += n_bytes - std::exchange(held, n_bytes);
    return *bodies <= limits.all_bodies_bytes;
  }
  void begin(const http::request_header<>& head);
  asio::awaitable<void> write(std::string bytes);
  asio::awaitable<void> write_head(int status, const std::string& type,
                                   std::optional<std::size_t> length);
  void watch();
  void hang_up();

  beast::tcp_stream stream;
  beast::flat_buffer buffer{kMaxBufferBytes};
  const HttpLimits limits;
  const std::shared_ptr<std::uint64_t> bodies;  // bytes that all connections hold
  std::uint64_t held = 0;                       // of them
  HttpRequest request;
  HttpHeaders answer_headers;
  bool keep_alive = true;
  bool chunked = false;  // the client understands it
  bool begun = false;    // the answer's head is out
  bool ended = false;
  bool hung_up = false;
  bool watching = false;
  bool handling = false;
  std::function<void()> on_hang_up;
};

void Exchange::Connection::begin(const http::request_header<>& head) {
  request = {};
  request.method = text_of(head.method_string());
  const std::string_view target = text_of(head.target());
  const std::size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (mark != target.npos) request.query = target.substr(mark + 1);
  for (const auto& field : head) {
    request.headers.emplace_back(lower_case(text_of(field.name_string())), field.value());
  }
  answer_headers.clear();
  chunked = head.version() >= 11;
  begun = ended = false;
  on_hang_up = nullptr;
}

asio::awaitable<void> Exchange::Connection::write(std::string bytes) {
  stream.expires_after(limits.write);
  co_await asio::async_write(stream, asio::buffer(bytes), asio::use_awaitable);
}

asio::awaitable<void> Exchange::Connection::write_head(int status, const std::string& type,
                                                       std::optional<std::size_t> length) {
  begun = true;
  std::string head = "HTTP/1.1 " + std::to_string(status) + " ";
  head += text_of(http::obsolete_reason(static_cast<http::status>(status)));
  head += "\r\nDate: " + http_date() + "\r\nContent-Type: " + type + "\r\n";
  for (const auto& [name, value] : answer_headers) head += name + ": " + value + "\r\n";
  if (length) {
    head += "Content-Length: " + std::to_string(*length) + "\r\n";
  } else if (chunked) {
    head += "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n";
  } else {
    keep_alive = false;  // the end of the connection is the end of the stream
  }
  head += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
  co_await write(std::move(head));
}

// A client that has asked and waits has nothing to say: what can be read is its end, or the next
// request, which is kept, for its end may be behind it. One that goes on and on is sent away.
void Exchange::Connection::watch() {
  if (std::exchange(watching, true)) return;
  stream.socket().async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
    self->watching = false;
    if (error || !self->handling) return;
    if (self->buffer.size() + kFirstReadBytes > kMaxBufferBytes) return self->hang_up();
    const auto space = self->buffer.prepare(kFirstReadBytes);
    const int socket = self->stream.socket().native_handle();
    const auto n = ::recv(socket, space.data(), space.size(), MSG_DONTWAIT);
    if (n > 0) self->buffer.commit(static_cast<std::size_t>(n));
    const bool read_meanwhile = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    n > 0 || read_meanwhile ? self->watch() : self->hang_up();
  });
}

void Exchange::Connection::hang_up() {
  hung_up = true;
  if (const auto call = std::exchange(on_hang_up, nullptr)) call();
}

const HttpRequest& Exchange::request() const {
  return connection_->request;
}
void Exchange::forget_body() {
  connection_->request.body = {};
  connection_->hold(0);
}
HttpHeaders& Exchange::answer_headers() {
  return connection_->answer_headers;
}
bool Exchange::begun() const {
  return connection_->begun;
}

void Exchange::on_hang_up(std::function<void()> call) {
  connection_->on_hang_up = std::move(call);
  if (connection_->hung_up) connection_->hang_up();
}

asio::awaitable<void> Exchange::answer(HttpAnswer answer) {
  for (auto& header : answer.headers) connection_->answer_headers.push_back(std::move(header));
  co_await connection_->write_head(answer.status, answer.type, answer.body.size());
  if (request().method != "HEAD") co_await connection_->write(std::move(answer.body));
  connection_->ended = true;
}

asio::awaitable<void> Exchange::begin_events() {
  co_await connection_->write_head(200, "text/event-stream", std::nullopt);
}

asio::awaitable<void> Exchange::send(std::string events) {
  if (events.empty()) co_return;
  if (connection_->chunked) {
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", events.size());
    events.insert(0, size);
    events += "\r\n";
  }
  co_await connection_->write(std::move(events));
}

asio::awaitable<void> Exchange::end_events() {
  connection_->ended = true;
  if (!connection_->chunked) co_return;
  std::string last = "0\r\n\r\n";
  co_await connection_->write(std::move(last));
}

struct HttpServer::Parts : std::enable_shared_from_this<HttpServer::Parts> {
  using Connection = Exchange::Connection;
  using Parser = http::request_parser<http::string_body>;

  Parts(const asio::any_io_executor& io, HttpLimits limits, Hooks hooks)
      : io(io), limits(limits), hooks(std::move(hooks)), listener(io) {}

  void listen_on(const std::string& host, int port);
  asio::awaitable<void> listen();
  void begin(tcp::socket socket);
  asio::awaitable<void> serve(std::shared_ptr<Connection> connection);
  asio::awaitable<error_code> read_head(std::shared_ptr<Connection> connection, Parser& parser);
  asio::awaitable<error_code> read_body(std::shared_ptr<Connection> connection, Parser& parser);
  asio::awaitable<void> handle(std::shared_ptr<Connection> connection);
  asio::awaitable<void> refuse(std::shared_ptr<Connection> connection, HttpAnswer answer);
  asio::awaitable<void> say_goodbye(std::shared_ptr<Connection> connection);
  void stop();

  asio::any_io_executor io;
  HttpLimits limits;
  Hooks hooks;
  tcp::acceptor listener;
  const std::shared_ptr<std::uint64_t> bodies = std::make_shared<std::uint64_t>(0);
  std::set<std::shared_ptr<Connection>> connections;
};

void HttpServer::Parts::listen_on(const std::string& host, int port) {
  try {
    tcp::resolver resolver(io);
    const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive);
    const tcp::endpoint endpoint = *found.begin();
    listener.open(endpoint.protocol());
    listener.set_option(tcp::acceptor::reuse_address(true));
    listener.bind(endpoint);
    listener.listen();
  } catch (const system_error& error) {
    throw RuntimeError("cannot listen on " + host + ":" + std::to_string(port) + ": " +
                       error.code().message() + ". Choose another --host or --port.");
  }
}

asio::awaitable<void> HttpServer::Parts::listen() {
  for (;;) {
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    tcp::socket socket = co_await listener.async_accept(token);
    if (!listener.is_open()) co_return;
    if (!error) {
      begin(std::move(socket));
      continue;
    }
    // Out of descriptors, most likely: some will be free again.
    asio::steady_timer pause(io, std::chrono::milliseconds(100));
    auto pause_token = asio::redirect_error(asio::use_awaitable, error);
    co_await pause.async_wait(pause_token);
  }
}

void HttpServer::Parts::begin(tcp::socket socket) {
  error_code ignored;
  if (connections.size() >= limits.connections) {
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(kTooMany), ignored);  // or the client sees it closed
    return;
  }
  socket.set_option(tcp::no_delay(true), ignored);
  auto connection = std::make_shared<Connection>(std::move(socket), limits, bodies);
  connections.insert(connection);
  auto work = serve(connection);
  // What goes wrong with one connection ends that one.
  asio::co_spawn(io, std::move(work), [connection, self = shared_from_this()](std::exception_ptr) {
    connection->on_hang_up = nullptr;
    connection->stream.close();
    self->connections.erase(connection);
  });
}

asio::awaitable<error_code> HttpServer::Parts::read_head(std::shared_ptr<Connection> connection,
                                                         Parser& parser) {
  error_code error;
  beast::flat_buffer& buffer = connection->buffer;
  if (buffer.size() == 0) {
    connection->stream.expires_after(limits.idle);
    auto token = asio::redirect_error(asio::use_awaitable, error);
    const auto space = buffer.prepare(kFirstReadBytes);
    const std::size_t n = co_await connection->stream.async_read_some(space, token);
    buffer.commit(n);
    if (error) co_return error == beast::error::timeout ? http::error::end_of_stream : error;
  }
  connection->stream.expires_after(limits.head);
  auto token = asio::redirect_error(asio::use_awaitable, error);
  co_await http::async_read_header(connection->stream, buffer, parser, token);
  // Where such a body ends nobody knows: what follows would be read as the next request.
  if (!error && parser.get().count(http::field::transfer_encoding) > 0 && !parser.chunked()) {
    error = http::error::bad_transfer_encoding;
  }
  co_return error;
}

asio::awaitable<error_code> HttpServer::Parts::read_body(std::shared_ptr<Connection> connection,
                                                         Parser& parser) {
  error_code error;
  if (parser.get()[http::field::expect] == "100-continue" && !parser.is_done()) {
    std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await connection->write(std::move(go_on));
  }
  connection->stream.expires_after(limits.body);
  while (!error && !parser.is_done()) {
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await http::async_read_some(connection->stream, connection->buffer, parser, token);
    if (!connection->hold(parser.get().body().size())) error = asio::error::no_memory;
  }
  co_return error;
}

asio::awaitable<void> HttpServer::Parts::serve(std::shared_ptr<Connection> connection) {
  do {
    Parser parser;
    parser.header_limit(limits.head_bytes);
    parser.body_limit(limits.body_bytes);
    connection->begin({});
    error_code error = co_await read_head(connection, parser);
    connection->keep_alive = !error && parser.get().keep_alive();
    if (parser.is_header_done()) connection->begin(parser.get());
    std::optional<HttpAnswer> refusal;
    if (!error) refusal = hooks.gate(connection->request);
    if (!error && !refusal) error = co_await read_body(connection, parser);
    if (error && status_of(error) == 0) co_return;
    if (error) {
      const int status = status_of(error);
      refusal = hooks.refuse(connection->request, status, why(status));
      std::string().swap(parser.get().body());
      connection->hold(0);
    }
    if (refusal) co_return co_await refuse(connection, std::move(*refusal));
    connection->request.body = std::move(parser.get().body());
    co_await handle(connection);
  } while (connection->keep_alive && connection->ended && !connection->hung_up);
  co_await say_goodbye(connection);
}

asio::awaitable<void> HttpServer::Parts::handle(std::shared_ptr<Connection> connection) {
  std::shared_ptr<Exchange> exchange(new Exchange(connection));
  connection->handling = true;
  connection->watch();
  std::optional<HttpAnswer> failure;
  try {
    auto work = hooks.handle(exchange);
    co_await std::move(work);
  } catch (const system_error&) {
    throw;  // the client is gone
  } catch (const std::exception& error) {
    failure = hooks.refuse(connection->request, 500, error.what());
  }
  connection->handling = false;
  connection->on_hang_up = nullptr;
  exchange->forget_body();
  if (failure && !connection->begun) co_await exchange->answer(std::move(*failure));
}

asio::awaitable<void> HttpServer::Parts::refuse(std::shared_ptr<Connection> connection,
                                                HttpAnswer answer) {
  connection->keep_alive = false;
  Exchange exchange(connection);
  co_await exchange.answer(std::move(answer));
  co_await say_goodbye(connection);
}

// Bytes that nobody has read would turn the close into a reset, which takes the answer along.
asio::awaitable<void> HttpServer::Parts::say_goodbye(std::shared_ptr<Connection> connection) {
  error_code error;
  connection->stream.socket().shutdown(tcp::socket::shutdown_send, error);
  connection->stream.expires_after(kGoodbye);
  std::string rest(kFirstReadBytes, '\0');
  for (std::size_t n = 0; !error && n < kMaxUnreadBytes;) {
    auto token = asio::redirect_error(asio::use_awaitable, error);
    n += co_await connection->stream.async_read_some(asio::buffer(rest), token);
  }
}

void HttpServer::Parts::stop() {
  error_code ignored;
  listener.close(ignored);
  for (const auto& connection : connections) {
    connection->hang_up();
    connection->stream.close();
  }
}

HttpServer::HttpServer(const asio::any_io_executor& io, const std::string& host, int port,
                       HttpLimits limits, Hooks hooks)
    : parts_(std::make_shared<Parts>(io, limits, std::move(hooks))) {
  parts_->listen_on(host, port);
  auto work = parts_->listen();
  asio::co_spawn(io, std::move(work), [parts = parts_](std::exception_ptr) {});  // it was closed
}

HttpServer::~HttpServer() = default;

void HttpServer::stop() {
  parts_->stop();
}

int HttpServer::port() const {
  return parts_->listener.local_endpoint().port();
}

std::uint64_t HttpServer::body_bytes() const {
  return *parts_->bodies;
}

std::size_t HttpServer::connections() const {
  return parts_->connections.size();
}

}  // namespace corvid::runtime
