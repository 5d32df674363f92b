// The agent loop: one conversation between a person, a model and its tools.
//
//   append(user text)
//   repeat:  fit the context -> turn = co_await reply() -> journal -> publish
//            no calls: return turn
//            results = co_await toolbox.run(turn.calls) -> journal -> append(results)
//
// Every step is journaled before its event is published. prompt() catches, so a failed step ends
// the turn with an event and leaves a session that can go on. io thread only, except interrupt().
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "runtime/dialogue.h"
#include "runtime/event_bus.h"
#include "tools/toolbox.h"

namespace corvid::memory {
class Journal;
}

namespace corvid::runtime {

struct SessionOptions {
  int max_steps = 50;  // replies of the model per prompt
  std::size_t result_budget_bytes = 16 * 1024;
};

class Session {
 public:
  struct Rooms {  // all outlive the session
    Dialogue& dialogue;
    tools::Toolbox& toolbox;
    tools::ToolContext& context;
    memory::Journal& journal;
    asio::thread_pool& journal_thread;  // one thread: SQLite
    EventBus& events;
  };
  // `id` names a journaled session that has been created already.
  Session(std::string id, Rooms rooms, SessionOptions options);
  ~Session();

  asio::awaitable<model::Turn> prompt(std::string text);
  // Idle time after an answer: drops reasoning by the model's rule.
  asio::awaitable<void> settle();
  // Stops the running reply or tool; everything so far stays. Any thread.
  void interrupt() noexcept;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace corvid::runtime
