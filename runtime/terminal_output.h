// Bytes to a terminal that may have been stopped (Ctrl-S) or be slow, without ever waiting for it.
//
// What the terminal does not take is kept, up to a limit, and goes out with the next write; what
// comes beyond the limit is dropped and said so. One thread at a time. Nothing throws but
// bad_alloc.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace corvid::runtime {

class TerminalOutput {
 public:
  explicit TerminalOutput(int descriptor);
  ~TerminalOutput();
  TerminalOutput(const TerminalOutput&) = delete;

  void write(std::string_view text);
  // Waits until everything is out, or `limit` has passed. False: something is left.
  bool flush(std::chrono::milliseconds limit);

  int columns() const;      // 80 when the terminal does not say
  bool has_cursor() const;  // understands erasing a line: a terminal that is not "dumb"
  bool has_colour() const;  // likewise, and NO_COLOR is not set

 private:
  void push();

  int given_;       // the caller's descriptor
  int descriptor_;  // the same terminal opened again, so that O_NONBLOCK is ours alone
  bool is_own_ = false, is_terminal_ = false;
  std::string pending_;
  std::size_t n_dropped_ = 0;
};

}  // namespace corvid::runtime
