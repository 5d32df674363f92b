// How a prompt ended, in a code for programs and in words for people.
#pragma once

#include <string>

#include "model/chat.h"
#include "runtime/dialogue.h"
#include "runtime/error.h"

namespace corvid::runtime {

struct Outcome {
  ExitCode code = kOk;
  std::string answer;   // the content of the last reply
  std::string message;  // for people, when code says that something went wrong
  int steps = 0;        // replies of the model
};

// After a reply without calls.
Outcome finished_turn(Outcome outcome, const model::Turn& turn, Room room);
Outcome context_full(Outcome outcome, Room room);
Outcome step_limit(Outcome outcome);
Outcome interrupted(Outcome outcome, const std::string& session);
Outcome repeated_calls(Outcome outcome, int times);

}  // namespace corvid::runtime
