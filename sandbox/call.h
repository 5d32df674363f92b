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
  // Lets go of it: everything it started is killed, and nothing is heard of it any more.
  void abandon();

  bool done() const { return done_; }
  asio::steady_timer& changed() { return changed_; }
  // What else there is to tell when it has ended.
  void news_from(std::function<std::vector<std::string>()> news) { news_ = std::move(news); }
  bool write(std::string_view bytes);
  void close_input();
  // See Process::take().
  ProcessResult take();

 private:
  Descriptor input();
  void take_terminal(wire::Packet packet);
  void feed();
  void watch_output();
  void watch_errors();
  void watch_status();
  bool drain(std::size_t max_bytes);  // false: nothing more will come
  bool drain_errors();
  void hear(wire::Packet packet);
  void end();
  void finish();
  void close();

  ProcessSpec spec_;
  Output kept_, kept_errors_;
  asio::posix::stream_descriptor output_, errors_, status_, input_;
  asio::steady_timer deadline_, changed_;
  std::chrono::steady_clock::time_point started_;
  ProcessResult result_;
  std::function<std::vector<std::string>()> news_;
  std::string failure_;
  std::string unwritten_;    // of its open input
  bool feeding_ = false;     // waits until the input takes more
  bool input_ends_ = false;  // after what is unwritten
  int patience_ = 0;         // steps taken to end it
  bool done_ = false;
};

}  // namespace corvid::sandbox
