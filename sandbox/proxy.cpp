#include "sandbox/proxy.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <set>

#include "sandbox/proxy_request.h"

namespace corvid::sandbox {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr std::size_t kMaxHeadBytes = 16 * 1024;
constexpr std::size_t kMaxConnections = 64;
constexpr std::size_t kMaxRefused = 16;  // named in one result
constexpr auto kHeadDeadline = 30s;
constexpr auto kConnectDeadline = 20s;
constexpr auto kIdleDeadline = 10min;
constexpr auto kGoodbyeDeadline = 2s;

std::string answer(std::string_view status, const std::string& why) {
  const std::string body = "corvid: " + why + "\n";
  return "HTTP/1.1 " + std::string(status) +
         "\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

// As a rule names it.
std::string name_of(const HostPort& where) {
  const bool usual = where.port == 80 || where.port == 443;
  return usual && where.host.find(':') == where.host.npos ? where.host : print(where);
}

// Both sides of one connection, which end together when neither moves for too long.
struct Link : std::enable_shared_from_this<Link> {
  Link(tcp::socket client, const asio::any_io_executor& io)
      : inside(std::move(client)), outside(io), patience(io) {}

  void close() {
    error_code ignored;
    inside.close(ignored);
    outside.close(ignored);
    patience.cancel();
  }
  void end_after(std::chrono::seconds time) {
    patience.expires_after(time);
    patience.async_wait([weak = weak_from_this()](error_code error) {
      const auto link = weak.lock();
      if (link && !error) link->close();
    });
  }

  tcp::socket inside, outside;
  asio::steady_timer patience;
  int open_directions = 2;
};

// Bytes that nobody has read would turn the close into a reset, which takes the answer along.
asio::awaitable<void> close_after_answer(std::shared_ptr<Link> link) {
  error_code error;
  link->inside.shutdown(tcp::socket::shutdown_send, error);
  link->end_after(kGoodbyeDeadline);
  std::array<char, 4096> rest;
  while (!error) {
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await link->inside.async_read_some(asio::buffer(rest), token);
  }
  link->close();
}

void carry_on(std::shared_ptr<Link> link, tcp::socket Link::*from, tcp::socket Link::*to);

asio::awaitable<void> carry(std::shared_ptr<Link> link, tcp::socket Link::*from,
                            tcp::socket Link::*to) {
  std::array<char, 16 * 1024> buffer;
  tcp::socket& source = (*link).*from;
  tcp::socket& target = (*link).*to;
  for (;;) {
    const std::size_t n =
        co_await source.async_read_some(asio::buffer(buffer), asio::use_awaitable);
    link->end_after(kIdleDeadline);
    co_await asio::async_write(target, asio::buffer(buffer.data(), n), asio::use_awaitable);
  }
}

// Until `from` has said all; then the other direction may go on.
void carry_on(std::shared_ptr<Link> link, tcp::socket Link::*from, tcp::socket Link::*to) {
  auto work = carry(link, from, to);
  const asio::any_io_executor io = link->inside.get_executor();
  asio::co_spawn(io, std::move(work), [link, to](std::exception_ptr) {  // ends with an error always
    error_code ignored;
    ((*link).*to).shutdown(tcp::socket::shutdown_send, ignored);
    if (--link->open_directions == 0) link->close();
  });
}

}  // namespace

struct Proxy::Parts : std::enable_shared_from_this<Proxy::Parts> {
  Parts(const asio::any_io_executor& executor, std::vector<HostRule> given)
      : io(executor), rules(std::move(given)), listener(executor) {}

  asio::awaitable<void> listen();
  asio::awaitable<void> serve(std::shared_ptr<Link> link);
  asio::awaitable<bool> may_reach(HostPort where);
  asio::awaitable<std::vector<tcp::endpoint>> find(HostPort where);
  asio::awaitable<bool> connect(std::shared_ptr<Link> link, std::vector<tcp::endpoint> found);
  void refuse(const HostPort& where, const std::string& why);
  void stop();

  asio::any_io_executor io;
  std::vector<HostRule> rules;
  tcp::acceptor listener;
  Sandbox::AskHost ask;
  std::vector<std::weak_ptr<Link>> links;
  std::set<std::string> refused;
};

Proxy::Proxy(const asio::any_io_executor& io, Descriptor listening, std::vector<HostRule> rules)
    : parts_(std::make_shared<Parts>(io, std::move(rules))) {
  parts_->listener.assign(tcp::v4(), listening.release());
  auto work = parts_->listen();
  asio::co_spawn(io, std::move(work), [parts = parts_](std::exception_ptr) {});  // it was closed
}

Proxy::~Proxy() {
  parts_->stop();
}

void Proxy::ask_with(Sandbox::AskHost ask) {
  parts_->ask = std::move(ask);
}

std::vector<std::string> Proxy::news() {
  std::vector<std::string> sentences(parts_->refused.begin(), parts_->refused.end());
  parts_->refused.clear();
  return sentences;
}

void Proxy::Parts::stop() {
  error_code ignored;
  listener.close(ignored);
  ask = nullptr;
  for (const auto& weak : links) {
    if (const auto link = weak.lock()) link->close();
  }
}

asio::awaitable<void> Proxy::Parts::listen() {
  for (;;) {
    tcp::socket client = co_await listener.async_accept(asio::use_awaitable);
    std::erase_if(links, [](const auto& weak) { return weak.expired(); });
    if (links.size() >= kMaxConnections) continue;  // the client sees it closed
    auto link = std::make_shared<Link>(std::move(client), io);
    links.push_back(link);
    auto work = serve(link);
    // What goes wrong with one connection ends that one.
    asio::co_spawn(io, std::move(work),
                   [link, self = shared_from_this()](std::exception_ptr error) {
                     if (error) link->close();
                   });
  }
}

void Proxy::Parts::refuse(const HostPort& where, const std::string& why) {
  if (refused.size() < kMaxRefused) {
    refused.insert("No connection to " + print(where) + ": " + why);
  }
}

asio::awaitable<bool> Proxy::Parts::may_reach(HostPort where) {
  if (allows(rules, where)) co_return true;
  error_code not_an_address;
  const auto address = asio::ip::make_address(where.host, not_an_address);
  const bool local = !not_an_address && is_local_address(address);
  if (!ask || local || where.host == "localhost") co_return false;
  std::string name = name_of(where);
  const bool agreed = co_await ask(std::move(name));
  co_return agreed;
}

// Where it is: no address of this machine or its networks unless it was named as such.
asio::awaitable<std::vector<tcp::endpoint>> Proxy::Parts::find(HostPort where) {
  std::vector<tcp::endpoint> found;
  error_code error;
  const auto literal = asio::ip::make_address(where.host, error);
  const auto port = static_cast<unsigned short>(where.port);
  if (!error) {
    found.emplace_back(literal, port);
    co_return found;
  }
  tcp::resolver resolver(io);
  const std::string host = where.host, service = std::to_string(where.port);
  const auto results =
      co_await resolver.async_resolve(host, service, tcp::resolver::numeric_service,
                                      asio::redirect_error(asio::use_awaitable, error));
  for (const auto& result : results) {
    const bool local = is_local_address(result.endpoint().address());
    if (!local || where.host == "localhost") found.push_back(result.endpoint());
  }
  co_return found;
}

asio::awaitable<bool> Proxy::Parts::connect(std::shared_ptr<Link> link,
                                            std::vector<tcp::endpoint> found) {
  for (const tcp::endpoint& endpoint : found) {
    error_code error;
    link->outside.close(error);
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await link->outside.async_connect(endpoint, token);
    if (!error) co_return true;
    if (!link->inside.is_open()) co_return false;
  }
  co_return false;
}

asio::awaitable<void> Proxy::Parts::serve(std::shared_ptr<Link> link) {
  const auto self = shared_from_this();
  link->end_after(kHeadDeadline);
  std::string bytes, reply;
  auto buffer = asio::dynamic_buffer(bytes, kMaxHeadBytes);
  const std::size_t n =
      co_await asio::async_read_until(link->inside, buffer, "\r\n\r\n", asio::use_awaitable);
  const auto request = parse_proxy_request(std::string_view(bytes).substr(0, n));
  std::vector<tcp::endpoint> found;
  bool allowed = false;
  link->patience.cancel();  // a person may be asked
  if (request) allowed = co_await may_reach(request->where);
  link->end_after(kConnectDeadline);
  if (allowed) found = co_await find(request->where);
  bool connected = false;
  if (!found.empty()) connected = co_await connect(link, std::move(found));
  if (!request) {
    reply = answer("400 Bad Request", "this proxy takes CONNECT host:port and http://host/...");
  } else if (!allowed) {
    refuse(request->where, "it is none of the hosts that may be reached; `--allow-net=" +
                               name_of(request->where) + "` allows it.");
    reply = answer("403 Forbidden", print(request->where) + " may not be reached.");
  } else if (!connected) {
    refuse(request->where, "it has no address in the internet, or does not answer.");
    reply = answer("502 Bad Gateway", print(request->where) + " cannot be reached.");
  } else if (request->tunnel) {
    reply = "HTTP/1.1 200 Connection established\r\n\r\n";
  }
  const std::string start = (request ? request->head : "") + bytes.substr(n);
  if (!reply.empty()) {
    co_await asio::async_write(link->inside, asio::buffer(reply), asio::use_awaitable);
  }
  if (!connected) co_return co_await close_after_answer(link);
  co_await asio::async_write(link->outside, asio::buffer(start), asio::use_awaitable);
  link->end_after(kIdleDeadline);
  carry_on(link, &Link::inside, &Link::outside);
  carry_on(link, &Link::outside, &Link::inside);
}

}  // namespace corvid::sandbox
