// What happens in a session, as typed values: the one vocabulary of the terminal, `--json`, the
// HTTP server and the tests.
//
// Steps are journaled before their event is published; deltas are not journaled. The JSON form
// (one object a line: v, seq, session, type, then the fields) has its schema in
// runtime/events.schema.json.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "model/chat.h"

namespace corvid::runtime {

struct SessionStarted {
  std::string model, workspace;
  bool resumed = false;
};
struct Prompted {
  std::string text;
};
struct Progress {
  std::string what;
  double fraction = 0;
};  // loading, prefill; fraction 0..1
struct ReasoningDelta {
  std::string text;
};
struct ContentDelta {
  std::string text;
};
struct CallDelta {
  std::string text;
};  // raw call text while it is written
struct StepFinished {
  model::Turn turn;
};  // one reply of the model
struct CallStarted {
  model::ToolCall call;
};
struct CallOutput {
  std::string call_id, text;
};
struct CallFinished {
  std::string name;
  model::ToolResult result;
};
struct TurnFinished {
  model::Stop stop;
  std::string answer;
  int steps = 0;
};
struct Settled {
  int dropped_tokens = 0, prefilled = 0;
};
struct Notice {
  std::string text;
};  // for people; nothing is wrong
struct ApprovalAsked {
  std::string id, what, flag;
};
struct ApprovalAnswered {
  std::string id, answer;  // "no", "once", "always", "never"
};
struct Failed {
  std::string message;
  int exit_code = 1;
};

using EventBody =
    std::variant<SessionStarted, Prompted, Progress, ReasoningDelta, ContentDelta, CallDelta,
                 StepFinished, CallStarted, CallOutput, CallFinished, TurnFinished, Settled, Notice,
                 ApprovalAsked, ApprovalAnswered, Failed>;

struct Event {
  std::uint64_t seq = 0;  // within the process's run of this session; 0: told by the journal
  std::string session;
  EventBody body;
  std::int64_t step = 0;  // of the journal; 0: it is none
};

// One line of JSON, without the newline.
std::string to_json(const Event& event);
// The word for `stop` in JSON lines and in the journal.
std::string_view name(model::Stop stop);

}  // namespace corvid::runtime
