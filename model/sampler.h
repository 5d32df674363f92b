// The draws of a generation, one after the other: greedy, temperature, top-p, min-p, seeded.
//
// What a draw makes of a row of logits says model/compute/draw.h; the back end does it. The same
// seed, logits and masks give the same tokens on every machine (own counter-based generator, no
// std:: distributions). One object per generation; engine thread only.
#pragma once

#include <cstdint>

#include "model/compute/draw.h"

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
  explicit Sampler(Sampling sampling) : sampling_(sampling) {}
  // `mask` may be null: everything is allowed. At least one token must be. The same until
  // advance(); the mask outlives it.
  Draw next(const TokenMask* mask) const;
  void advance();

 private:
  Sampling sampling_;
  std::uint64_t counter_ = 0;
};

}  // namespace corvid::model
