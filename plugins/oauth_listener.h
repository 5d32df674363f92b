// Where the browser comes back to after a login: a listener on 127.0.0.1, on a port that is free,
// for one answer. Whoever else on this machine asks gets nothing and changes nothing. io thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <string>

namespace corvid::plugins {

namespace asio = boost::asio;

class OAuthListener {
 public:
  // PluginError when no port can be had.
  explicit OAuthListener(const asio::any_io_executor& io);

  const std::string& redirect() const { return redirect_; }  // "http://127.0.0.1:PORT/callback"

  // Hands the query of each request for the redirect to `is_answer`, until that returns true or
  // throws; the browser is told that it is done. PluginError when nothing comes in time.
  using IsAnswer = std::function<bool(const std::string& query)>;
  asio::awaitable<void> wait(IsAnswer is_answer, std::chrono::seconds patience);

 private:
  asio::ip::tcp::acceptor acceptor_;
  std::string redirect_;
};

// The query of "GET /callback?QUERY HTTP/1.1"; empty when a request's head asks for something else.
std::string redirect_query(std::string_view head);

}  // namespace corvid::plugins
