#include "runtime/event_bus.h"

namespace corvid::runtime {

void EventBus::publish(EventBody body) noexcept {
  const Event event{++seq_, session_, std::move(body)};
  for (EventSink* sink : sinks_) sink->receive(event);
}

}  // namespace corvid::runtime
