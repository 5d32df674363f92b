#include "plugins/http_client.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "plugins/curl_library.h"
#include "plugins/error.h"

namespace corvid::plugins {

namespace {

constexpr std::size_t kHeaderLimitBytes = 256u << 10;
constexpr std::size_t kUnreadLimitBytes = 16u << 20;
constexpr std::size_t kTailLimitBytes = 64u << 10;

std::string host_of(const std::string& url) {
  const std::size_t start = url.find("://");
  if (start == std::string::npos) return {};
  return url.substr(start + 3, url.find_first_of("/?#", start + 3) - start - 3);
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool same_name(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

// Whether libcurl asks a proxy for this address. A variable that is empty names none.
bool has_proxy(const std::string& url) {
  const auto names_one = [](const char* name) {
    const char* value = std::getenv(name);
    return value && *value;
  };
  if (names_one("all_proxy") || names_one("ALL_PROXY")) return true;
  if (url.starts_with("https:")) return names_one("https_proxy") || names_one("HTTPS_PROXY");
  return names_one("http_proxy");
}

// What is neither IPv4 nor IPv6 reaches this machine alone.
Reach reach_of(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof v4);
    return plugins::reach_of(asio::ip::address_v4(ntohl(v4.sin_addr.s_addr)));
  }
  if (address->sa_family != AF_INET6) return Reach::machine;
  sockaddr_in6 v6;
  std::memcpy(&v6, address, sizeof v6);
  asio::ip::address_v6::bytes_type bytes;
  std::memcpy(bytes.data(), v6.sin6_addr.s6_addr, bytes.size());
  return plugins::reach_of(asio::ip::address_v6(bytes));
}

std::string_view trimmed(std::string_view text) {
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(" \t\r\n") - start + 1);
}

}  // namespace

// The transfers in progress and their sockets. Held by the client and by each exchange.
struct HttpClient::Multi : std::enable_shared_from_this<HttpClient::Multi> {
  struct Socket {
    explicit Socket(const asio::any_io_executor& io) : descriptor(io) {}
    asio::posix::stream_descriptor descriptor;
    int wanted = 0;  // CURL_POLL_IN | CURL_POLL_OUT, 0 when curl has let go of it
    bool waits_in = false, waits_out = false;
  };

  explicit Multi(asio::any_io_executor executor) : io(std::move(executor)), timer(io) {
    handle = curl().multi_init();
    if (!handle) throw PluginError("libcurl cannot start.");
    curl().multi_setopt(handle, CURLMOPT_SOCKETFUNCTION, &Multi::on_socket);
    curl().multi_setopt(handle, CURLMOPT_SOCKETDATA, this);
    curl().multi_setopt(handle, CURLMOPT_TIMERFUNCTION, &Multi::on_timer);
    curl().multi_setopt(handle, CURLMOPT_TIMERDATA, this);
  }
  ~Multi() {
    curl().multi_cleanup(handle);
    for (auto& [fd, socket] : sockets) socket->descriptor.release();
  }

  static int on_socket(CURL*, curl_socket_t fd, int what, void* data, void*);
  static int on_timer(CURLM*, long milliseconds, void* data);
  void watch(curl_socket_t fd, std::shared_ptr<Socket> socket, int direction);
  void act(curl_socket_t fd, int events);

  asio::any_io_executor io;
  asio::steady_timer timer;
  CURLM* handle = nullptr;
  std::map<curl_socket_t, std::shared_ptr<Socket>> sockets;
};

struct HttpExchange::Parts {
  Parts(std::shared_ptr<HttpClient::Multi> owner, HttpRequest what)
      : multi(std::move(owner)), request(std::move(what)), wake(multi->io) {}
  ~Parts() {
    if (easy) {
      curl().multi_remove_handle(multi->handle, easy);
      curl().easy_cleanup(easy);
    }
    curl().slist_free_all(headers);
  }
  void stop() {
    if (std::exchange(finished, true)) return;
    curl().multi_remove_handle(multi->handle, easy);
    failure = {HttpFailure::Kind::other, "it was stopped"};
    tell();
  }

  static std::size_t on_header(char* bytes, std::size_t, std::size_t n, void* data);
  static curl_socket_t on_connect(void* data, curlsocktype, curl_sockaddr* address);
  static std::size_t on_body(char* bytes, std::size_t, std::size_t n, void* data);
  void prepare();
  void restrict();
  void finish(CURLcode code);
  void tell() {
    news = true;
    wake.cancel();
  }

  std::shared_ptr<HttpClient::Multi> multi;
  HttpRequest request;
  asio::steady_timer wake;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  char error_text[CURL_ERROR_SIZE] = {};

  int status = 0;
  bool head_complete = false;
  bool finished = false;
  bool too_near = false;
  bool news = false;
  std::size_t head_bytes = 0;
  std::size_t unread_limit_bytes = kUnreadLimitBytes;
  std::vector<std::pair<std::string, std::string>> head;
  std::string body;
  HttpFailure failure;
};

// --- libcurl's callbacks: C, so nothing may be thrown through them ------------------------------

int HttpClient::Multi::on_socket(CURL*, curl_socket_t fd, int what, void* data, void*) {
  Multi& multi = *static_cast<Multi*>(data);
  const auto found = multi.sockets.find(fd);
  if (what == CURL_POLL_REMOVE) {
    if (found == multi.sockets.end()) return 0;
    found->second->wanted = 0;
    found->second->descriptor.release();  // the socket is libcurl's
    multi.sockets.erase(found);
    return 0;
  }
  std::shared_ptr<Socket> socket;
  if (found != multi.sockets.end()) {
    socket = found->second;
  } else {
    socket = std::make_shared<Socket>(multi.io);
    boost::system::error_code failed;
    socket->descriptor.assign(fd, failed);
    if (failed) return -1;
    multi.sockets.emplace(fd, socket);
  }
  socket->wanted = what;
  if ((what & CURL_POLL_IN) && !socket->waits_in) multi.watch(fd, socket, CURL_POLL_IN);
  if ((what & CURL_POLL_OUT) && !socket->waits_out) multi.watch(fd, socket, CURL_POLL_OUT);
  return 0;
}

void HttpClient::Multi::watch(curl_socket_t fd, std::shared_ptr<Socket> socket, int direction) {
  const bool in = direction == CURL_POLL_IN;
  (in ? socket->waits_in : socket->waits_out) = true;
  const auto type =
      in ? asio::posix::descriptor_base::wait_read : asio::posix::descriptor_base::wait_write;
  socket->descriptor.async_wait(
      type, [weak = weak_from_this(), fd, socket, direction, in](boost::system::error_code failed) {
        (in ? socket->waits_in : socket->waits_out) = false;
        const auto multi = weak.lock();
        if (failed || !multi || !(socket->wanted & direction)) return;
        multi->act(fd, in ? CURL_CSELECT_IN : CURL_CSELECT_OUT);
        const bool waits = in ? socket->waits_in : socket->waits_out;
        if ((socket->wanted & direction) && !waits) multi->watch(fd, socket, direction);
      });
}

int HttpClient::Multi::on_timer(CURLM*, long milliseconds, void* data) {
  Multi& multi = *static_cast<Multi*>(data);
  multi.timer.cancel();
  if (milliseconds < 0) return 0;
  multi.timer.expires_after(std::chrono::milliseconds(milliseconds));
  multi.timer.async_wait([weak = multi.weak_from_this()](boost::system::error_code failed) {
    const auto owner = weak.lock();
    if (!failed && owner) owner->act(CURL_SOCKET_TIMEOUT, 0);
  });
  return 0;
}

void HttpClient::Multi::act(curl_socket_t fd, int events) {
  int n_running = 0;
  curl().multi_socket_action(handle, fd, events, &n_running);
  int n_left = 0;
  while (CURLMsg* message = curl().multi_info_read(handle, &n_left)) {
    if (message->msg != CURLMSG_DONE) continue;
    char* exchange = nullptr;
    curl().easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
    reinterpret_cast<HttpExchange::Parts*>(exchange)->finish(message->data.result);
  }
}

std::size_t HttpExchange::Parts::on_header(char* bytes, std::size_t, std::size_t n, void* data) {
  Parts& parts = *static_cast<Parts*>(data);
  parts.head_bytes += n;
  if (parts.head_bytes > kHeaderLimitBytes) return 0;  // ends the transfer
  const std::string_view line = trimmed({bytes, n});
  if (line.starts_with("HTTP/")) {
    parts.head.clear();
  } else if (line.empty()) {
    long status = 0;
    curl().easy_getinfo(parts.easy, CURLINFO_RESPONSE_CODE, &status);
    parts.head_complete = status >= 200;  // 1xx: another head follows
    parts.status = static_cast<int>(status);
    if (parts.head_complete) parts.tell();
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    parts.head.emplace_back(line.substr(0, colon), trimmed(line.substr(colon + 1)));
  }
  return n;
}

std::size_t HttpExchange::Parts::on_body(char* bytes, std::size_t, std::size_t n, void* data) {
  Parts& parts = *static_cast<Parts*>(data);
  if (parts.body.size() + n > parts.unread_limit_bytes) return 0;
  parts.body.append(bytes, n);
  parts.tell();
  return n;
}

curl_socket_t HttpExchange::Parts::on_connect(void* data, curlsocktype, curl_sockaddr* address) {
  Parts& parts = *static_cast<Parts*>(data);
  parts.too_near = reach_of(&address->addr) > parts.request.reach;
  if (parts.too_near) return CURL_SOCKET_BAD;
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// --- One exchange --------------------------------------------------------------------------------

void HttpExchange::Parts::prepare() {
  const CurlLibrary& lib = curl();
  easy = lib.easy_init();
  if (!easy) throw PluginError("libcurl cannot start a request.");
  for (const std::string& line : request.headers) headers = lib.slist_append(headers, line.c_str());
  headers = lib.slist_append(headers, "Expect:");  // no pause before a large body
  const auto set = [&](CURLoption option, auto value) { lib.easy_setopt(easy, option, value); };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_HTTPHEADER, headers);
  set(CURLOPT_USERAGENT, "corvid/" CORVID_VERSION);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // never wait for a name lookup that nobody needs any more
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout.count()));
  if (request.direct) set(CURLOPT_PROXY, "");
  if (request.reach != Reach::machine && !request.direct) restrict();
  if (!request.ca_file.empty()) set(CURLOPT_CAINFO, request.ca_file.c_str());
  if (!request.body.empty()) {
    set(CURLOPT_POSTFIELDS, request.body.data());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  if (!request.method.empty()) set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  set(CURLOPT_ERRORBUFFER, error_text);
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
  set(CURLOPT_HEADERFUNCTION, &Parts::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, &Parts::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
}

void HttpExchange::Parts::restrict() {
  if (has_proxy(request.url)) {  // it looks names up, and sees to its own
    curl().easy_setopt(easy, CURLOPT_NOPROXY, "");
    return;
  }
  curl().easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &Parts::on_connect);
  curl().easy_setopt(easy, CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
}

void HttpExchange::Parts::finish(CURLcode code) {
  using Kind = HttpFailure::Kind;
  finished = true;
  tell();
  if (code == CURLE_OK) return;
  const std::string host = host_of(request.url);
  const std::string why = error_text[0] ? error_text : curl().easy_strerror(code);
  if (too_near) {
    failure = {Kind::refused, host + " lies nearer than it may: in a private network, or here"};
    return;
  }
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      failure = {Kind::resolve, "cannot find the host " + host};
      break;
    case CURLE_COULDNT_CONNECT:
      failure = {Kind::connect, "nothing answers at " + host + " (connection refused)"};
      break;
    case CURLE_OPERATION_TIMEDOUT:
      failure = {Kind::connect, "no connection to " + host + ": " + why};
      break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
      failure = {Kind::tls, "no secure connection to " + host + ": " + why};
      break;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      failure = {Kind::lost, "the connection to " + host + " was lost: " + why};
      break;
    default:
      failure = {Kind::other, host + ": " + why};
  }
}

HttpExchange::HttpExchange(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
HttpExchange::~HttpExchange() = default;

asio::awaitable<HttpExchange::Wake> HttpExchange::wait(Clock::time_point until) {
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return Wake::cancelled;
  if (!parts_->news && !parts_->finished) {
    parts_->wake.expires_at(until);
    co_await parts_->wake.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return Wake::cancelled;
  const bool news = std::exchange(parts_->news, false) || parts_->finished;
  co_return news ? Wake::news : Wake::timeout;
}

int HttpExchange::status() const {
  return parts_->head_complete ? parts_->status : 0;
}

std::string HttpExchange::header(std::string_view name) const {
  for (const auto& [key, value] : parts_->head) {
    if (same_name(key, name)) return value;
  }
  return {};
}

// A proxy stands for the internet, wherever it lies itself.
Reach HttpExchange::peer() const {
  if (has_proxy(parts_->request.url) && !parts_->request.direct) return Reach::internet;
  const char* text = nullptr;
  curl().easy_getinfo(parts_->easy, CURLINFO_PRIMARY_IP, &text);
  boost::system::error_code none;
  const auto address = asio::ip::make_address(text ? text : "", none);
  return none ? Reach::internet : reach_of(address);
}

std::string HttpExchange::headers(std::string_view name) const {
  std::string all;
  for (const auto& [key, value] : parts_->head) {
    if (same_name(key, name)) all += (all.empty() ? "" : ", ") + value;
  }
  return all;
}

std::string HttpExchange::take() {
  return std::exchange(parts_->body, {});
}
void HttpExchange::expect_end() {
  parts_->unread_limit_bytes = kTailLimitBytes;
}
bool HttpExchange::finished() const {
  return parts_->finished;
}
void HttpExchange::stop() {
  parts_->stop();
}
const HttpFailure& HttpExchange::failure() const {
  return parts_->failure;
}

HttpClient::HttpClient(asio::any_io_executor io) : multi_(std::make_shared<Multi>(std::move(io))) {}
HttpClient::~HttpClient() = default;

std::unique_ptr<HttpExchange> HttpClient::start(HttpRequest request) {
  auto parts = std::make_unique<HttpExchange::Parts>(multi_, std::move(request));
  parts->prepare();
  curl().multi_add_handle(multi_->handle, parts->easy);
  return std::unique_ptr<HttpExchange>(new HttpExchange(std::move(parts)));
}

}  // namespace corvid::plugins
