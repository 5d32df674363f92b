#include "runtime/approvals.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace corvid::runtime {
namespace {

// Holds the user's attention from the moment it was free.
class Attention {
 public:
  Attention(bool& taken, asio::steady_timer& freed) : taken_(taken), freed_(freed) {
    taken_ = true;
  }
  ~Attention() {
    taken_ = false;
    freed_.cancel();
  }
  Attention(const Attention&) = delete;

 private:
  bool& taken_;
  asio::steady_timer& freed_;
};

tools::Verdict refusal(const char* why) {
  return {false, why};
}

constexpr const char* kNever = "The user said that this is never to be. Do not try it again.";

}  // namespace

Approvals::Approvals(const asio::any_io_executor& io)
    : answered_(io, asio::steady_timer::time_point::max()) {}

asio::awaitable<tools::Verdict> Approvals::decide(tools::Request request) {
  const std::string flag = request.flag;
  if (request.wants_text && !read_) co_return tools::Verdict{false, "Nobody can be asked here."};
  if (!ask_) {
    co_return tools::Verdict{
        false, "Nobody can be asked to allow it here; `" + flag + "` on the command line does."};
  }
  while (asking_) {
    boost::system::error_code woken;
    co_await answered_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
  if (request.wants_text) {
    tools::Verdict verdict = co_await read(std::move(request));
    co_return verdict;
  }
  if (always_.contains(request.key)) co_return tools::Verdict{true, {}, true};
  if (never_.contains(request.key)) co_return refusal(kNever);
  const Attention attention(asking_, answered_);
  const std::string key = request.key;
  const Answer answer = co_await ask_(std::move(request));
  if (answer == Answer::always) always_.insert(key);
  if (answer == Answer::never) {
    never_.insert(key);
    co_return refusal(kNever);
  }
  if (answer == Answer::no) co_return refusal("The user was asked and said no.");
  co_return tools::Verdict{true, {}, answer == Answer::always};
}

asio::awaitable<tools::Verdict> Approvals::read(tools::Request request) {
  const Attention attention(asking_, answered_);
  std::optional<std::string> line = co_await read_(std::move(request));
  tools::Verdict verdict;
  verdict.allowed = line.has_value();
  if (line) verdict.text = std::move(*line);
  if (!line) verdict.why = "The user was asked and did not answer.";
  co_return verdict;
}

}  // namespace corvid::runtime
