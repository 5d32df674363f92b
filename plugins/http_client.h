// HTTP requests on the io thread: libcurl's multi interface, driven by Asio.
//
// An exchange is pulled: wait() until something is new, then look at status(), take() the bytes and
// ask finished(). Destroying an exchange that is not finished closes its request at once. Finished
// connections are kept and used again. Redirects are not followed (a key would travel with them).
// io thread only. PluginError when libcurl is missing.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/web_url.h"

namespace corvid::plugins {

namespace asio = boost::asio;

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;                  // empty: GET, otherwise POST
  std::string method;                // when it is neither
  std::string ca_file;               // empty: the system's certificates
  bool direct = false;               // never through a proxy
  Reach reach = Reach::machine;      // no address that lies nearer; a proxy sees to its own
  std::chrono::milliseconds connect_timeout{4000};
};

// Why an exchange broke off. `lost`: the connection was there and went away. `refused`: by us, as
// it lies nearer than it may.
struct HttpFailure {
  enum class Kind { none, resolve, connect, refused, tls, lost, other };
  Kind kind = Kind::none;
  std::string text;  // "cannot find the host x.invalid"
};

class HttpExchange {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Wake { news, timeout, cancelled };

  HttpExchange(const HttpExchange&) = delete;
  ~HttpExchange();

  // Never throws for a cancellation: says so.
  asio::awaitable<Wake> wait(Clock::time_point until);

  int status() const;                                // 0 until the head of the response is complete
  std::string header(std::string_view name) const;   // of the response; empty when absent
  std::string take();                                // the bytes of the body that came since
  std::string headers(std::string_view name) const;  // as one list, of those that are lists
  Reach peer() const;                                // where the other end lies
  void expect_end();                                 // a body that goes on after this is cut off
  bool finished() const;                             // nothing more will come
  void stop();                                       // whoever waits finds it finished
  const HttpFailure& failure() const;                // when finished

 private:
  friend class HttpClient;
  struct Parts;
  explicit HttpExchange(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

class HttpClient {
 public:
  explicit HttpClient(asio::any_io_executor io);
  ~HttpClient();
  std::unique_ptr<HttpExchange> start(HttpRequest request);

 private:
  friend struct HttpExchange::Parts;
  struct Multi;
  std::shared_ptr<Multi> multi_;
};

}  // namespace corvid::plugins
