// The line to one MCP server, over whatever transport: what we ask and wait for, and what the
// server says of itself. Whatever the server does, a request ends: with an answer, at its time
// limit, or when the server is gone. Owned by mcp_server; io thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugins/mcp_message.h"

namespace corvid::plugins {

namespace asio = boost::asio;

inline constexpr std::size_t kMaxMcpMessageBytes = 8 << 20;

struct McpRequest {
  std::string method;
  nlohmann::ordered_json params;
  std::chrono::seconds patience;
  std::vector<std::string> headers;  // "Name: value", for a transport that has headers
};

class McpConnection {
 public:
  virtual ~McpConnection() = default;

  // A result or an error of the server. PluginError: no answer in time, or the server is gone; a
  // cancellation tells the server and goes on as one.
  virtual asio::awaitable<McpMessage> request(McpRequest request) = 0;
  virtual asio::awaitable<void> notify(std::string method) = 0;
  // Where the server can speak unasked only when it is listened to: from now on it is.
  virtual void listen() {}
  void close() { lose("it was closed"); }
  virtual asio::any_io_executor executor() const = 0;

  // What the server asks of us: true when it is taken care of, and replied to.
  using Asked = std::function<bool(const McpMessage& request)>;
  void ask_with(Asked asked) { asked_ = std::move(asked); }
  void reply(const nlohmann::ordered_json& their_id, nlohmann::ordered_json result) {
    answer(mcp_result(their_id, std::move(result)));
  }

  // The version of the protocol from now on; empty: not settled yet.
  void speak(std::string version) { version_ = std::move(version); }

  bool lost() const { return !why_lost_.empty(); }
  const std::string& why_lost() const { return why_lost_; }
  // Lost in good order: the server wants a new connection, at once.
  bool expired() const { return expired_; }
  // Since the last time: that its list of tools has changed.
  bool take_list_changed() { return std::exchange(list_changed_, false); }

 protected:
  // What the server said: a message, or garbage, of which it may send only so much.
  void hear(std::string_view text);
  void lose(const std::string& why);
  void expire() {
    expired_ = true;
    lose("its session has ended");
  }
  [[noreturn]] void throw_lost() const;
  const std::string& version() const { return version_; }

 private:
  virtual bool deliver(McpMessage& answer) = 0;  // false: nobody waits for it
  virtual void answer(std::string message) = 0;  // to a request of the server
  virtual void hang_up() = 0;                    // the line is lost

  Asked asked_;
  std::string version_, why_lost_;
  bool expired_ = false, list_changed_ = false;
  int n_garbage_ = 0;
};

}  // namespace corvid::plugins
