// The one bridge from blocking work to a coroutine.
//
//   auto text = co_await offload(pool, [path] { return read_all(path); });
//
// The function runs on a thread of `pool`; the coroutine resumes on its own executor with the value
// or the exception. A cancelled coroutine still waits for its work: keep pieces short, or write
// them as a function of a std::stop_token, which is asked to stop then; its value is given all the
// same.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace corvid::sandbox {

namespace asio = boost::asio;

namespace detail {
template <typename F>
asio::awaitable<std::invoke_result_t<F&>> run_inline(F work) {
  co_return work();
}

template <typename F, typename T>
asio::awaitable<T> run_stoppable(F work, std::stop_token stop) {
  co_return work(std::move(stop));
}

// What the coroutine and the completion of its work share, on the coroutine's executor.
template <typename T>
struct Pending {
  explicit Pending(const asio::any_io_executor& executor)
      : done(executor, asio::steady_timer::time_point::max()) {}
  std::stop_source stop;
  std::optional<T> value;
  std::exception_ptr failure;
  asio::steady_timer done;  // cancelled when there is a value or a failure
};
}  // namespace detail

template <std::invocable F>
asio::awaitable<std::invoke_result_t<F&>> offload(asio::thread_pool& pool, F work) {
  auto task = detail::run_inline(std::move(work));
  co_return co_await asio::co_spawn(pool, std::move(task), asio::use_awaitable);
}

template <std::invocable<std::stop_token> F>
asio::awaitable<std::invoke_result_t<F&, std::stop_token>> offload(asio::thread_pool& pool,
                                                                   F work) {
  using T = std::invoke_result_t<F&, std::stop_token>;
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  auto pending = std::make_shared<detail::Pending<T>>(executor);
  auto finish = [pending](std::exception_ptr failure, T value) {
    pending->failure = failure;
    if (!failure) pending->value = std::move(value);
    pending->done.cancel();
  };
  auto task = detail::run_stoppable<F, T>(std::move(work), pending->stop.get_token());
  asio::co_spawn(pool, std::move(task), asio::bind_executor(executor, std::move(finish)));
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!pending->value && !pending->failure) {
    boost::system::error_code woken;
    co_await pending->done.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) pending->stop.request_stop();
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (pending->failure) std::rethrow_exception(pending->failure);
  co_return std::move(*pending->value);
}

}  // namespace corvid::sandbox
