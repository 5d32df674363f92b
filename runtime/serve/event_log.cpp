#include "runtime/serve/event_log.h"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "runtime/record.h"

namespace corvid::runtime {
namespace {

constexpr std::size_t kMaxBytes = 1 << 20;
// Where a log begins: the journal's last step may have ended a turn, which is told after it.
constexpr std::int64_t kAfterTheEnd = 1;

std::string id_of(EventLog::Place place) {
  std::string id = std::to_string(place.step);
  if (place.after > 0) id += "." + std::to_string(place.after);
  return id;
}

std::string sse_of(EventLog::Place place, const Event& event) {
  return "id: " + id_of(place) + "\ndata: " + to_json(event) + "\n\n";
}

}  // namespace

EventLog::EventLog(const asio::any_io_executor& io, std::int64_t steps)
    : before_{steps, kAfterTheEnd}, last_(before_), io_(io) {}

void EventLog::receive(const Event& event) noexcept try {
  last_ = event.step > 0 ? Place{event.step, 0} : Place{last_.step, last_.after + 1};
  lines_.push_back({last_, sse_of(last_, event)});
  bytes_ += lines_.back().text.size();
  while (bytes_ > kMaxBytes) {
    before_ = lines_.front().place;
    bytes_ -= lines_.front().text.size();
    lines_.pop_front();
  }
  wake();
} catch (...) {  // no memory: the journal has it, if it was a step
  lines_.clear();
  bytes_ = 0;
  before_ = last_;
}

void EventLog::skip_to(std::int64_t steps) {
  if (steps <= last_.step) return;
  lines_.clear();
  bytes_ = 0;
  before_ = last_ = {steps, kAfterTheEnd};
  wake();
}

std::string EventLog::last_id() const {
  return id_of(last_);
}

std::string EventLog::told_after(Place& place) const {
  std::string text;
  const auto first = std::ranges::upper_bound(lines_, place, {}, &Line::place);
  for (auto line = first; line != lines_.end(); ++line) text += line->text;
  place = std::max(place, last_);
  return text;
}

std::string EventLog::told_after(Place& place, const std::string& session,
                                 std::span<const memory::Step> steps) const {
  std::string text;
  for (JournaledEvent& event : events_of(steps)) {
    const Place at{event.step, event.after};
    if (at <= place || at > before_) continue;
    text += sse_of(at, {0, session, std::move(event.body), event.step});
  }
  place = std::max(place, before_);
  return text;
}

asio::awaitable<void> EventLog::wait(Place place, asio::steady_timer::time_point until) {
  if (last_ > place) co_return;
  const auto bell = waiting_.emplace(waiting_.end(), io_, until);
  boost::system::error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  co_await bell->async_wait(token);
  waiting_.erase(bell);
}

void EventLog::wake() {
  for (asio::steady_timer& bell : waiting_) bell.cancel();
}

}  // namespace corvid::runtime
