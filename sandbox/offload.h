// The one bridge from blocking work to a coroutine.
//
//   auto text = co_await offload(pool, [path] { return read_all(path); });
//
// The function runs on a thread of `pool`; the coroutine resumes on its own executor with the value
// or the exception. Work is not interruptible: a cancelled coroutine still waits for it, so keep
// pieces short or give them their own stop flag.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <type_traits>
#include <utility>

namespace corvid::sandbox {

namespace asio = boost::asio;

namespace detail {
template <typename F>
asio::awaitable<std::invoke_result_t<F&>> run_inline(F work) {
  co_return work();
}
}  // namespace detail

template <typename F>
asio::awaitable<std::invoke_result_t<F&>> offload(asio::thread_pool& pool, F work) {
  auto task = detail::run_inline(std::move(work));
  co_return co_await asio::co_spawn(pool, std::move(task), asio::use_awaitable);
}

}  // namespace corvid::sandbox
