// How the next token is chosen from a row of logits, and the choice itself as a reference.
//
// Greedy: the largest logit, of equals the lower id. Else weights exp((logit - largest) /
// temperature); what weighs less than min_p of the best is out; with top_p < 1 only the fewest of
// the heaviest that reach this share of the sum stay, in the order of their weights, of equals the
// lower id first; `random` says how far along the sum of the weights the token lies. Plain values
// and a pure function; any thread.
#pragma once

#include <cstdint>
#include <span>

#include "model/chat.h"

namespace corvid::model {

struct Draw {
  double temperature = 0;  // 0: greedy
  double top_p = 1;
  double min_p = 0;
  double random = 0;  // in [0, 1)
  // A bit for each of n_tokens; tokens beyond are never chosen. Empty: all are allowed.
  std::span<const std::uint64_t> allowed;
  int n_tokens = 0;  // that there are logits for, at most; 0: as many as there are logits
};

// -1 when no allowed token has a logit above -infinity (they are no numbers, as a rule).
Token draw_token(std::span<const float> logits, const Draw& draw);

}  // namespace corvid::model
