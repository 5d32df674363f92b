// The agent loop: one conversation between a person, a model and its tools.
//
//   append(user text)
//   repeat:  fit the context -> turn = co_await reply() -> journal -> publish
//            no calls: done
//            results = co_await toolbox.run(turn.calls) -> journal -> publish -> append(results)
//
// Every step is journaled before its event is published. The history is what the journal holds; a
// step that could not be journaled never happened, and the dialogue is put back to the history
// before the next prompt. prompt() does not throw: a failed step ends the turn with an event and
// leaves a session that can go on. One prompt or settle at a time. io thread only, except
// interrupt().
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/dialogue.h"
#include "runtime/event_bus.h"
#include "runtime/outcome.h"
#include "tools/toolbox.h"

namespace corvid::memory {
class Journal;
}

namespace corvid::runtime {

struct SessionOptions {
  int max_steps = 50;  // replies of the model per prompt
};

class Session {
 public:
  struct Rooms {  // all outlive the session
    asio::any_io_executor io;
    Dialogue& dialogue;
    tools::Toolbox& toolbox;
    tools::ToolContext& context;
    memory::Journal& journal;
    asio::thread_pool& journal_thread;  // one thread: SQLite
    EventBus& events;
  };
  // A journaled session so far: a new one has its Opening and no steps, an old one is replayed.
  struct Past {
    std::string id;
    std::vector<Entry> history;
    std::int64_t steps = 0;
  };
  Session(Past past, Rooms rooms, SessionOptions options);
  ~Session();

  asio::awaitable<Outcome> prompt(std::string text);
  // Idle time after an answer: drops reasoning by the model's rule.
  asio::awaitable<void> settle();
  // Stops the running reply or tool; everything so far stays. Any thread.
  void interrupt() noexcept;

 private:
  class Loop;
  std::shared_ptr<Loop> loop_;
};

}  // namespace corvid::runtime
