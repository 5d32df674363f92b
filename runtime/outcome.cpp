#include "runtime/outcome.h"

namespace corvid::runtime {

Outcome finished_turn(Outcome outcome, const model::Turn& turn, Room room) {
  switch (turn.stop) {
    case model::Stop::end:
    case model::Stop::calls:
      break;
    case model::Stop::length:
      outcome.code = kFailed;
      outcome.message = "The reply reached its length limit before it was finished.";
      break;
    case model::Stop::context_full:
      return context_full(std::move(outcome), room);
    case model::Stop::interrupted:
      outcome.code = kInterrupted;
      outcome.message = "Interrupted.";
      break;
    case model::Stop::malformed:
      outcome.code = kModelError;
      outcome.message = "The model's reply could not be read: " + turn.problem;
      break;
  }
  return outcome;
}

Outcome context_full(Outcome outcome, Room room) {
  outcome.code = kContextFull;
  outcome.message = "The context is full (" + std::to_string(room.used_tokens) + " of " +
                    std::to_string(room.limit_tokens) +
                    " tokens). Start a new session, or use a model with a larger context.";
  return outcome;
}

Outcome step_limit(Outcome outcome) {
  outcome.code = kStepLimit;
  outcome.message = "Stopped after " + std::to_string(outcome.steps) +
                    (outcome.steps == 1 ? " step" : " steps") +
                    " (--max-steps). `corvid resume` goes on.";
  return outcome;
}

Outcome interrupted(Outcome outcome, const std::string& session) {
  outcome.code = kInterrupted;
  outcome.message = "Interrupted. `corvid resume " + session + "` goes on.";
  return outcome;
}

Outcome repeated_calls(Outcome outcome, int times) {
  outcome.code = kFailed;
  outcome.message = "The model made the same call " + std::to_string(times) +
                    " times with the same result, so the turn was ended.";
  return outcome;
}

}  // namespace corvid::runtime
