// The events of one session as server-sent events, for any number of followers.
//
// An event that is a step of the journal has its number for its id ("12"), one in between counts on
// from there ("12.3"). The log holds the latest of them, bounded; what came before is told by the
// journal, without what only lasted for a moment. So a follower that was cut off and names the last
// id that it has seen is told every step once. io thread only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <compare>
#include <deque>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "memory/journal.h"
#include "runtime/event_bus.h"

namespace corvid::runtime {

namespace asio = boost::asio;

class EventLog : public EventSink {
 public:
  struct Place {
    std::int64_t step = 0, after = 0;
    auto operator<=>(const Place&) const = default;
  };
  // As an id has it; nullopt: this is none.
  static std::optional<Place> read_place(std::string_view id);

  // `steps`: that the journal has already.
  EventLog(const asio::any_io_executor& io, std::int64_t steps);

  void receive(const Event& event) noexcept override;
  // The journal has gone on without this log.
  void skip_to(std::int64_t steps);

  Place last() const { return last_; }
  std::string last_id() const;
  // Whether all that came after `place` is here.
  bool holds(Place place) const { return place >= before_; }
  // All that came after `place`, which moves to the last of it.
  std::string told_after(Place& place) const;
  // The same of what is here no more, by all steps of the journal.
  std::string told_after(Place& place, const std::string& session,
                         std::span<const memory::Step> steps) const;

  // Until something comes after `place`, wake(), or it is time.
  asio::awaitable<void> wait(Place place, asio::steady_timer::time_point until);
  void wake();

 private:
  struct Line {
    Place place;
    std::string text;
  };

  std::deque<Line> lines_;
  std::size_t bytes_ = 0;
  Place before_, last_;  // of the lines: what came just before them, and the last
  const asio::any_io_executor io_;
  std::list<asio::steady_timer> waiting_;  // one for each who does
};

}  // namespace corvid::runtime
