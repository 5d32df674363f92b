// The other side of the loop: the local engine, a remote API or a script. The session does not know
// which.
//
// append() queues and costs nothing; reply() computes what was appended, lets the model speak and
// parses it. Exactly the model's own tokens (remote: its own message) stay in the history; nothing
// it said is rendered again. io thread only; reply, settle and replace are cancellable and leave a
// dialogue that can go on: a cancelled reply() returns what has come with Stop::interrupted, and
// that much stays in the history. RuntimeError when the model cannot be reached or used; then the
// history is as before reply().
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "model/chat.h"
#include "model/text/chat_format.h"

namespace corvid::runtime {

namespace asio = boost::asio;

struct Opening {
  std::string system;
  std::vector<model::ToolSpec> tools;
};
struct UserText {
  std::string text;
};
struct Results {
  std::vector<model::ToolResult> results;
};
// A reply from the journal; `verbatim` is the provider's message for remote models.
struct Reply {
  model::Turn turn;
  std::string verbatim;
};
using Entry = std::variant<Opening, UserText, Results, Reply>;

// Text that was added, or why there is none yet. At most one of the three texts is set.
struct ReplyProgress {
  model::Delta delta;
  double prefill_fraction = 1;  // below 1: the prompt is still being computed
  std::string waiting;          // "waiting for HOST, 12 s": alive, nothing to show yet
  std::string notice;           // for people, once: a retry, a model chosen for them
};
using OnDelta = std::function<void(const ReplyProgress&)>;

struct Room {
  int used_tokens = 0;
  int limit_tokens = 0;  // 0: unknown
};

class Dialogue {
 public:
  virtual ~Dialogue() = default;
  virtual std::string description() const = 0;  // model and where it runs, for people
  virtual void append(Entry entry) = 0;
  virtual asio::awaitable<model::Turn> reply(OnDelta on_delta) = 0;
  // The provider's message of the last reply, for the journal; empty for local models.
  virtual std::string verbatim() const { return {}; }
  // The turn is over: strip reasoning by the model's rule. Returns what it cost.
  struct SettleCost {
    int dropped_tokens = 0;
    int prefilled = 0;
  };
  virtual asio::awaitable<SettleCost> settle() = 0;
  virtual asio::awaitable<void> replace(std::vector<Entry> entries) = 0;
  virtual Room room() const = 0;
};

}  // namespace corvid::runtime
