// One command on the program's side: its pipes, deadline and result. The stub does the rest. Runs
// on the io thread by callbacks that share ownership; wait for changed() until done().
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "sandbox/output.h"
#include "sandbox/process.h"
#include "sandbox/wire.h"

namespace corvid::sandbox {

class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(asio::any_io_executor executor, ProcessSpec spec);

  // Hands the command to the stub behind `control`. SandboxError when the stub is gone.
  void start(int control, const wire::Fields& order);
  // SIGTERM to everything it started, SIGKILL after the grace.
  void interrupt();

  bool done() const { return done_; }
  asio::steady_timer& changed() { return changed_; }
  // Once done. SandboxError when the command did not run.
  ProcessResult result();

 private:
  void watch_output();
  void watch_status();
  bool drain(std::size_t max_bytes);  // false: nothing more will come
  void hear(wire::Packet packet);
  void end();
  void finish();

  ProcessSpec spec_;
  Output kept_;
  asio::posix::stream_descriptor output_, status_;
  asio::steady_timer deadline_, changed_;
  std::chrono::steady_clock::time_point started_;
  ProcessResult result_;
  std::string failure_;
  int patience_ = 0;  // steps taken to end it
  bool done_ = false;
};

}  // namespace corvid::sandbox
