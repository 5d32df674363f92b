#include "runtime/event_bus.h"

namespace corvid::runtime {

void EventBus::publish(EventBody body, std::int64_t step) noexcept {
  const Event event{++seq_, session_, std::move(body), step};
  for (EventSink* sink : sinks_) sink->receive(event);
}

}  // namespace corvid::runtime
