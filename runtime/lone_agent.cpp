#include "runtime/lone_agent.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>

namespace corvid::runtime {

Outcome LoneAgent::run(std::string prompt) {
  Outcome outcome;
  std::exception_ptr failure;
  asio::signal_set signals(io_, SIGINT, SIGTERM, SIGHUP);
  bool interrupted = false;
  std::function<void(boost::system::error_code, int)> on_signal =
      [&](boost::system::error_code error, int) {
        if (error) return;
        if (std::exchange(interrupted, true)) std::_Exit(kInterrupted);  // all is on disk
        agent_.session().interrupt();
        signals.async_wait(on_signal);
      };
  signals.async_wait(on_signal);
  asio::co_spawn(io_, agent_.session().prompt(std::move(prompt)),
                 [&](std::exception_ptr error, Outcome value) {
                   failure = error;
                   outcome = std::move(value);
                   io_.stop();  // a server may hold a stream open that has said all it will
                 });
  io_.restart();
  io_.run();
  if (failure) std::rethrow_exception(failure);
  return outcome;
}

}  // namespace corvid::runtime
