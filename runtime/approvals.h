// Whether a tool may have more than the sandbox policy gives: asked of the user, one question at a
// time, with what was answered for the whole session remembered. Where nobody can be asked the
// answer is no, with the flag that allows it. io thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "tools/tool.h"

namespace corvid::runtime {

namespace asio = boost::asio;

class Approvals {
 public:
  enum class Answer { no, once, always, never };
  using Ask = std::function<asio::awaitable<Answer>(tools::Request request)>;

  explicit Approvals(const asio::any_io_executor& io);

  // Nothing when the user does not want to answer.
  using Read = std::function<asio::awaitable<std::optional<std::string>>(tools::Request request)>;

  // Who answers from now on; nobody at first.
  void ask_with(Ask ask) { ask_ = std::move(ask); }
  void read_with(Read read) { read_ = std::move(read); }
  asio::awaitable<tools::Verdict> decide(tools::Request request);

 private:
  asio::awaitable<tools::Verdict> read(tools::Request request);

  Ask ask_;
  Read read_;
  std::set<std::string> always_, never_;  // keys
  bool asking_ = false;
  asio::steady_timer answered_;
};

}  // namespace corvid::runtime
