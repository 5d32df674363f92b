// Chooses a token from logits: greedy, temperature, top-p, min-p, seeded.
//
// One object per generation; engine thread only. The same seed, logits and masks give the same
// tokens on every machine (own counter-based generator, no std:: distributions).
#pragma once

#include <cstdint>
#include <span>

#include "model/chat.h"

namespace corvid::model {

class TokenMask;

struct Sampling {
  double temperature = 0;  // 0: greedy, ties to the lower id
  double top_p = 1;
  double min_p = 0;
  std::uint64_t seed = 0;
};

class Sampler {
 public:
  explicit Sampler(Sampling sampling);
  // `mask` may be null: everything is allowed. At least one token must be allowed.
  Token sample(std::span<const float> logits, const TokenMask* mask);

 private:
  Sampling sampling_;
  std::uint64_t counter_ = 0;
};

}  // namespace corvid::model
