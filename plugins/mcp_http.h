// An MCP server behind a URL: streamable HTTP, each request a POST of its own, answered with JSON
// or with a stream of events.
//
// Before 2026-07-28 a server may give its session a name, which goes along from then on until the
// server is told that the session is over, may speak unasked on a stream that is opened for that,
// and a stream that breaks off is taken up again where it was. Redirects are not followed: a token
// would travel with them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <map>
#include <memory>
#include <optional>

#include "plugins/http_client.h"
#include "plugins/mcp_connection.h"
#include "plugins/mcp_login.h"
#include "plugins/sse_parser.h"

namespace corvid::plugins {

class McpHttp final : public McpConnection, public std::enable_shared_from_this<McpHttp> {
 public:
  // `login`: of the one who asks, null where the headers say it. PluginError when libcurl is
  // missing.
  McpHttp(asio::any_io_executor io, std::string url, std::vector<std::string> headers,
          std::shared_ptr<McpLogin> login);

  asio::awaitable<McpMessage> request(McpRequest request) override;
  asio::awaitable<void> notify(std::string method) override;
  void listen() override;
  asio::any_io_executor executor() const override { return io_; }

 private:
  struct Stream;  // where one that breaks off goes on
  struct Asked;   // a request on its way
  bool deliver(McpMessage& answer) override;
  void answer(std::string message) override;
  void hang_up() override;

  HttpRequest http(std::string body) const;
  HttpRequest post(const McpRequest& request, std::string body) const;
  asio::awaitable<McpMessage> converse(McpRequest request, std::int64_t id);
  asio::awaitable<void> await_head(HttpExchange& exchange, Asked& asked);
  asio::awaitable<void> read_stream(HttpExchange& exchange, Asked& asked);
  bool hear_events(HttpExchange& exchange, SseParser& parser);
  asio::awaitable<std::string> read_body(HttpExchange& exchange, Asked& asked);
  asio::awaitable<McpMessage> refused(HttpExchange& exchange, Asked& asked);
  asio::awaitable<void> wait(HttpExchange& exchange, Asked& asked);
  asio::awaitable<std::unique_ptr<HttpExchange>> resume(Asked& asked);
  HttpRequest get(const Stream& stream) const;
  static asio::awaitable<void> hear_unasked(std::shared_ptr<McpHttp> self);
  asio::awaitable<bool> hear_once(Stream& stream);
  [[noreturn]] void give_up(const Asked& asked, bool cancelled);
  void post_aside(std::string message);
  void leave_session();

  asio::any_io_executor io_;
  HttpClient client_;
  std::string url_;
  std::vector<std::string> headers_;
  std::shared_ptr<McpLogin> login_;
  bool is_loopback_ = false;
  std::string session_;
  std::int64_t last_id_ = 0;
  std::map<std::int64_t, std::optional<McpMessage>> answers_;
  std::list<std::unique_ptr<HttpExchange>> asides_;  // messages whose answers say nothing
  std::shared_ptr<HttpExchange> heard_;              // what the server says unasked
  asio::steady_timer pause_;                         // before it is listened to again
};

}  // namespace corvid::plugins
