// Carries events from a session to its sinks, in order.
//
// Sinks are passive, bounded and noexcept: a slow or broken sink never holds up a session. io
// thread only.
#pragma once

#include <memory>
#include <vector>

#include "runtime/event.h"

namespace corvid::runtime {

class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void receive(const Event& event) noexcept = 0;
};

class EventBus {
 public:
  explicit EventBus(std::string session) : session_(std::move(session)) {}
  void add(EventSink& sink) { sinks_.push_back(&sink); }  // the sink outlives the bus
  // `step`: of the journal, where the event is one.
  void publish(EventBody body, std::int64_t step = 0) noexcept;

 private:
  std::string session_;
  std::uint64_t seq_ = 0;
  std::vector<EventSink*> sinks_;
};

}  // namespace corvid::runtime
