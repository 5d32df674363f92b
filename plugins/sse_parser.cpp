#include "plugins/sse_parser.h"

#include <charconv>
#include <utility>

namespace corvid::plugins {

void SseParser::feed(std::string_view bytes) {
  while (!bytes.empty() && !overflowed_) {
    if (std::exchange(after_return_, false) && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + event_.data.size() + part.size() > limit_bytes_) {
      overflowed_ = true;
      return;
    }
    line_ += part;
    if (end == std::string_view::npos) return;
    after_return_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    end_line();
  }
}

void SseParser::end() {
  if (overflowed_) return;
  if (!line_.empty()) end_line();
  end_event();
}

std::optional<SseEvent> SseParser::next() {
  if (ready_.empty()) return std::nullopt;
  SseEvent event = std::move(ready_.front());
  ready_.pop_front();
  return event;
}

void SseParser::end_line() {
  const std::string line = std::exchange(line_, {});
  std::string_view rest = line;
  if (std::exchange(first_line_, false) && rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  if (rest.empty()) return end_event();
  const std::size_t colon = rest.find(':');
  const std::string_view field = rest.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    event_.name = value;
  } else if (field == "data") {
    if (std::exchange(has_data_, true)) event_.data += '\n';
    event_.data += value;
  } else if (field == "id") {
    if (value.find('\0') == value.npos) id_ = value;
  } else if (field == "retry") {
    std::int32_t milliseconds = 0;
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), milliseconds);
    const bool is_number = error == std::errc() && end == value.data() + value.size();
    if (is_number && milliseconds >= 0) retry_ = std::chrono::milliseconds(milliseconds);
  }
}

void SseParser::end_event() {
  last_id_ = id_;
  if (std::exchange(has_data_, false)) ready_.push_back(std::move(event_));
  event_ = {};
}

}  // namespace corvid::plugins
