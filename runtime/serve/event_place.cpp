#include <algorithm>
#include <charconv>

#include "runtime/serve/event_log.h"

namespace corvid::runtime {
namespace {

bool read_number(std::string_view text, std::int64_t& number) {
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  return read.ec == std::errc() && read.ptr == end && number >= 0;
}

}  // namespace

std::optional<EventLog::Place> EventLog::read_place(std::string_view id) {
  Place place;
  const std::size_t dot = std::min(id.find('.'), id.size());
  if (!read_number(id.substr(0, dot), place.step)) return std::nullopt;
  if (dot < id.size() && !read_number(id.substr(dot + 1), place.after)) return std::nullopt;
  return place;
}

}  // namespace corvid::runtime
