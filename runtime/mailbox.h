// From the engine thread to a coroutine on the io thread.
//
// Progress that nobody has fetched yet is merged, so it is bounded by the length of a reply; the
// outcome comes once. A mailbox may end on either thread, and after the io thread's loop. A
// Listener is the io thread's end of it, and of the job behind it: both are let go with it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "model/text/chat_format.h"

namespace corvid::runtime {

namespace asio = boost::asio;

template <typename Outcome>
class Mailbox : public std::enable_shared_from_this<Mailbox<Outcome>> {
 public:
  struct Mail {
    model::Delta delta;
    std::optional<double> prefill_fraction;
    int reused = 0;
    std::optional<Outcome> outcome;
    std::exception_ptr error;
  };

  // Engine thread.
  void put_progress(const model::Delta& delta, double prefill_fraction, int reused = 0) {
    std::lock_guard lock(mutex_);
    mail_.delta += delta;
    mail_.prefill_fraction = prefill_fraction;
    mail_.reused = reused;
    ring();
  }
  void put_outcome(Outcome outcome, std::exception_ptr error) {
    std::lock_guard lock(mutex_);
    if (!error) mail_.outcome = std::move(outcome);
    mail_.error = std::move(error);
    ring();
  }

  // io thread.
  void set_bell(asio::steady_timer* bell) {
    std::lock_guard lock(mutex_);
    bell_ = bell;
  }
  Mail take() {
    std::lock_guard lock(mutex_);
    rung_ = false;
    return std::exchange(mail_, {});
  }

 private:
  void ring() {
    if (!bell_ || std::exchange(rung_, true)) return;
    auto on_io_thread = [self = this->shared_from_this()] {
      if (self->bell_) self->bell_->cancel();
    };
    asio::post(bell_->get_executor(), std::move(on_io_thread));
  }

  std::mutex mutex_;
  Mail mail_;
  bool rung_ = false;
  asio::steady_timer* bell_ = nullptr;  // set and used on the io thread; null when nobody listens
};

template <typename Outcome>
class Listener {
 public:
  Listener(const asio::any_io_executor& io, std::shared_ptr<Mailbox<Outcome>> mailbox)
      : bell_(io, asio::steady_timer::time_point::max()), mailbox_(std::move(mailbox)) {
    mailbox_->set_bell(&bell_);
  }
  ~Listener() {
    mailbox_->set_bell(nullptr);
    stop_.request_stop();
  }
  Listener(const Listener&) = delete;

  Mailbox<Outcome>& mailbox() { return *mailbox_; }
  std::stop_source& stop() { return stop_; }
  // Until there is mail, or it is time.
  using Time = asio::steady_timer::time_point;
  asio::awaitable<void> wait(Time until = Time::max()) {
    bell_.expires_at(until);
    boost::system::error_code rung;
    auto token = asio::redirect_error(asio::use_awaitable, rung);
    co_await bell_.async_wait(token);
  }

 private:
  asio::steady_timer bell_;
  std::shared_ptr<Mailbox<Outcome>> mailbox_;
  std::stop_source stop_;
};

}  // namespace corvid::runtime
