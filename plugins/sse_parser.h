// Server-sent events from bytes, however they are cut.
//
// Fed byte by byte or at once, the events are the same. Comments (keep-alives) are dropped. An
// event larger than the limit ends the parse: overflowed() stays true. No input makes it throw.
// Source: WHATWG HTML, section 9.2 "Server-sent events".
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace corvid::plugins {

struct SseEvent {
  std::string name;  // empty: "message"
  std::string data;

  bool operator==(const SseEvent&) const = default;
};

class SseParser {
 public:
  static constexpr std::size_t kEventLimitBytes = 8u << 20;

  explicit SseParser(std::size_t event_limit_bytes = kEventLimitBytes)
      : limit_bytes_(event_limit_bytes) {}
  void feed(std::string_view bytes);
  // The connection ended: some servers leave out the blank line after their last event.
  void end();
  std::optional<SseEvent> next();
  bool overflowed() const { return overflowed_; }
  // For a stream that is taken up again: after which event, and how long to wait before.
  const std::string& last_id() const { return last_id_; }
  std::optional<std::chrono::milliseconds> retry() const { return retry_; }

 private:
  void end_line();
  void end_event();

  std::size_t limit_bytes_;
  std::string line_;
  SseEvent event_;
  bool has_data_ = false;
  bool after_return_ = false;
  bool first_line_ = true;
  bool overflowed_ = false;
  std::deque<SseEvent> ready_;
  std::string id_, last_id_;  // of the event that comes; of the last one that came
  std::optional<std::chrono::milliseconds> retry_;
};

}  // namespace corvid::plugins
