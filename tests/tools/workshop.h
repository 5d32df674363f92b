// What the tests of tools share: a scratch folder and running a coroutine.
#pragma once

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <exception>
#include <optional>

#include "tests/scratch_folder.h"
#include "tools/toolbox.h"

namespace corvid::tools {

// Runs a coroutine to its end on the loop; what else runs there may go on later.
template <typename T>
T finish(asio::io_context& io, asio::awaitable<T> task) {
  std::optional<T> value;
  std::exception_ptr failure;
  asio::co_spawn(io, std::move(task), [&](std::exception_ptr problem, T result) {
    failure = problem;
    value = std::move(result);
  });
  io.restart();
  while (!value && !failure) io.run_one();
  if (failure) std::rethrow_exception(failure);
  return std::move(*value);
}

}  // namespace corvid::tools
