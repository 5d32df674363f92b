// Sinks that need no terminal: one JSON object a line, and plain text.
//
// A reader that does not read does not hold up the session: writes wait a bounded time, then the
// sink gives up for good; deltas are dropped first. io thread only.
#pragma once

#include <string>
#include <string_view>

#include "runtime/event_bus.h"
#include "runtime/token_sums.h"

namespace corvid::runtime {

// Writes to a descriptor without ever waiting longer than it should.
class BoundedWriter {
 public:
  explicit BoundedWriter(int descriptor) : descriptor_(descriptor) {}
  // False when not all of it was written; after that nothing is.
  bool write(std::string_view text) noexcept;
  // Whether a write would go through at once.
  bool ready() const noexcept;
  // Why not all could be written; 0 also when the reader has gone away, who wanted no more.
  int problem() const noexcept { return problem_; }

 private:
  int descriptor_;
  bool broken_ = false;
  int problem_ = 0;  // of errno
};

// `--json`: every event, one line each, on stdout.
class JsonSink : public EventSink {
 public:
  explicit JsonSink(int descriptor) : out_(descriptor) {}
  void receive(const Event& event) noexcept override;
  int problem() const noexcept { return out_.problem(); }

 private:
  BoundedWriter out_;
};

// Without a terminal: the final answer goes to `out`, what happens on the way to `log`.
class PlainSink : public EventSink {
 public:
  PlainSink(int out, int log) : out_(out), log_(log) {}
  void receive(const Event& event) noexcept override;
  int problem() const noexcept {
    return out_.problem();
  }  // that kept the answer from being written

 private:
  BoundedWriter out_, log_;
};

// `--stats`: what every step cost in tokens, and the sum.
class StatsSink : public EventSink {
 public:
  explicit StatsSink(int log) : log_(log) {}
  void receive(const Event& event) noexcept override;

 private:
  BoundedWriter log_;
  TokenSums sums_;
};

}  // namespace corvid::runtime
