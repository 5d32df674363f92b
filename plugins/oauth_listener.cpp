#include "plugins/oauth_listener.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <memory>

#include "plugins/error.h"

namespace corvid::plugins {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxHeadBytes = 16 << 10;
constexpr std::chrono::seconds kRequestPatience{2};  // browsers open connections to have them
constexpr std::string_view kDone = "Corvid has the answer. Go back to it; this page can be closed.";
constexpr std::string_view kNotHere = "There is nothing here.";

// Cancels what goes on at `what` at a point in time, while it exists.
template <typename Io>
class Deadline {
 public:
  Deadline(Io& what, Clock::time_point when) : timer_(what.get_executor(), when) {
    timer_.async_wait([&what, alive = std::weak_ptr(alive_)](error_code over) {
      error_code ignored;
      if (!over && !alive.expired()) what.cancel(ignored);
    });
  }
  bool passed() const { return timer_.expiry() <= Clock::now(); }

 private:
  std::shared_ptr<bool> alive_ = std::make_shared<bool>();
  asio::steady_timer timer_;
};

// Up to the empty line; what comes too late or is too long is cut off.
asio::awaitable<std::string> read_head(tcp::socket& socket, Clock::time_point until) {
  Deadline<tcp::socket> deadline(socket, until);
  std::string head;
  char bytes[2048];
  while (head.size() < kMaxHeadBytes && head.find("\r\n\r\n") == head.npos) {
    error_code failed;
    auto token = asio::redirect_error(asio::use_awaitable, failed);
    const std::size_t n = co_await socket.async_read_some(asio::buffer(bytes), token);
    if (failed) break;
    head.append(bytes, n);
  }
  co_return head;
}

asio::awaitable<void> reply(tcp::socket& socket, bool done) {
  Deadline<tcp::socket> deadline(socket, Clock::now() + kRequestPatience);
  const std::string_view text = done ? kDone : kNotHere;
  std::string page = done ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 404 Not Found\r\n";
  page +=
      "Content-Type: text/plain; charset=utf-8\r\nContent-Length: " + std::to_string(text.size()) +
      "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
      "Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n";
  page += text;
  error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  co_await asio::async_write(socket, asio::buffer(page), token);
  socket.shutdown(tcp::socket::shutdown_both, ignored);
}

}  // namespace

std::string redirect_query(std::string_view head) {
  constexpr std::string_view kStart = "GET /callback?";
  const std::string_view line = head.substr(0, head.find("\r\n"));
  if (!line.starts_with(kStart) || line.size() == head.size()) return {};
  const std::string_view rest = line.substr(kStart.size());
  const std::size_t end = rest.find(' ');
  if (end == rest.npos || !rest.substr(end + 1).starts_with("HTTP/1.")) return {};
  return std::string(rest.substr(0, end));
}

OAuthListener::OAuthListener(const asio::any_io_executor& io) : acceptor_(io) {
  error_code failed;
  const tcp::endpoint anywhere(asio::ip::address_v4::loopback(), 0);
  acceptor_.open(anywhere.protocol(), failed);
  if (!failed) acceptor_.bind(anywhere, failed);
  if (!failed) acceptor_.listen(asio::socket_base::max_listen_connections, failed);
  if (failed) throw PluginError("nothing can be listened on for a login: " + failed.message());
  redirect_ = "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()) + "/callback";
}

asio::awaitable<void> OAuthListener::wait(IsAnswer is_answer, std::chrono::seconds patience) {
  const auto until = Clock::now() + patience;
  Deadline<tcp::acceptor> deadline(acceptor_, until);
  for (bool done = false; !done;) {
    error_code failed;
    auto token = asio::redirect_error(asio::use_awaitable, failed);
    tcp::socket socket = co_await acceptor_.async_accept(token);
    if (failed && !deadline.passed()) throw boost::system::system_error(failed);
    if (failed) {
      throw PluginError("nobody logged in within " + std::to_string(patience.count()) + " s");
    }
    const auto soon = std::min(Clock::now() + kRequestPatience, until);
    const std::string head = co_await read_head(socket, soon);
    const std::string query = redirect_query(head);
    std::exception_ptr refusal;
    try {
      done = !query.empty() && is_answer(query);
    } catch (...) {
      refusal = std::current_exception();
    }
    const bool heard = done || refusal != nullptr;
    co_await reply(socket, heard);
    if (refusal) std::rethrow_exception(refusal);
  }
}

}  // namespace corvid::plugins
