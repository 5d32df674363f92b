// How the next token is chosen from a row of logits, and the choice itself as a reference.
//
// Greedy: the largest logit, of equals the lower id. Else weights exp((logit - largest) /
// temperature); what weighs less than min_p of the best is out; with top_p < 1 only the fewest of
// the heaviest that reach this share of the sum stay, in the order of their weights, of equals the
// lower id first; a random number says how far along the sum of the weights the token lies. Plain
// values and pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/chat.h"

namespace corvid::model {

struct Draw {
  double temperature = 0;  // 0: greedy
  double top_p = 1;
  double min_p = 0;
  // The random number: of the series that `seed` begins, the one with this number.
  std::uint64_t seed = 0, nth = 0;
  // A bit for each of n_tokens; tokens beyond are never chosen. Empty: all are allowed.
  std::span<const std::uint64_t> allowed;
  int n_tokens = 0;  // that there are logits for, at most; 0: as many as there are logits

  bool allows(std::size_t token) const {
    return allowed.empty() || (allowed[token >> 6] >> (token & 63) & 1);
  }
};

// -1 when no allowed token has a logit above -infinity (they are no numbers, as a rule).
Token draw_token(std::span<const float> logits, const Draw& draw);
// With this number, in [0, 1), in the place of the draw's own.
Token draw_token(std::span<const float> logits, const Draw& draw, double random);

// SplitMix64 (Steele, Lea, Flood 2014): a number depends on a state that grows by a step. Journals
// replay with it, so it stays as it is.
inline constexpr std::uint64_t kRandomStep = 0x9E3779B97F4A7C15;
constexpr std::uint64_t random_state(std::uint64_t seed, std::uint64_t nth) {
  return seed + (nth + 1) * kRandomStep;
}
double random_number(std::uint64_t state);  // in [0, 1)

}  // namespace corvid::model
