// How many requests run at once, and how many may wait for that, in the order they came.
//
// A ticket is a place in the queue and then a slot; letting go of it frees either at once. io
// thread only; the turnstile outlives its tickets.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <memory>

namespace corvid::runtime {

namespace asio = boost::asio;

class Turnstile {
 public:
  Turnstile(int n_running, int n_waiting) : max_running_(n_running), max_waiting_(n_waiting) {}

  class Ticket {
   public:
    Ticket(Turnstile& turnstile, const asio::any_io_executor& io);
    ~Ticket();
    Ticket(const Ticket&) = delete;

    bool admitted() const { return admitted_; }
    // Until admitted, woken, or it is time.
    asio::awaitable<void> wait(asio::steady_timer::time_point until);
    void wake() { bell_.cancel(); }

   private:
    friend class Turnstile;
    Turnstile& turnstile_;
    asio::steady_timer bell_;
    bool admitted_ = false;
  };

  bool full() const;
  int running() const { return running_; }
  int waiting() const { return static_cast<int>(queue_.size()); }

 private:
  void admit();

  const int max_running_, max_waiting_;
  int running_ = 0;
  std::list<Ticket*> queue_;
};

}  // namespace corvid::runtime
