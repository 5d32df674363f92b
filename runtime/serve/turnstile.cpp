#include "runtime/serve/turnstile.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace corvid::runtime {

Turnstile::Ticket::Ticket(Turnstile& turnstile, const asio::any_io_executor& io)
    : turnstile_(turnstile), bell_(io) {
  turnstile_.queue_.push_back(this);
  turnstile_.admit();
}

Turnstile::Ticket::~Ticket() {
  if (admitted_) {
    --turnstile_.running_;
  } else {
    turnstile_.queue_.remove(this);
  }
  turnstile_.admit();
}

asio::awaitable<void> Turnstile::Ticket::wait(asio::steady_timer::time_point until) {
  if (admitted_) co_return;
  bell_.expires_at(until);
  boost::system::error_code woken;
  auto token = asio::redirect_error(asio::use_awaitable, woken);
  co_await bell_.async_wait(token);
}

bool Turnstile::full() const {
  return running_ >= max_running_ && waiting() >= max_waiting_;
}

void Turnstile::admit() {
  while (running_ < max_running_ && !queue_.empty()) {
    Ticket& next = *queue_.front();
    queue_.pop_front();
    ++running_;
    next.admitted_ = true;
    next.wake();
  }
}

}  // namespace corvid::runtime
