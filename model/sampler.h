// The draws of a generation, one after the other: greedy, temperature, top-p, min-p, seeded.
//
// What a draw makes of a row of logits says model/compute/draw.h; the back end does it, but for
// draws from logits that are changed first, which are made here. The same seed, logits and masks
// give the same tokens on every machine. One object per generation; engine thread only.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "model/compute/draw.h"

namespace corvid::model {

class TokenMask;

struct Sampling {
  double temperature = 0;  // 0: greedy, ties to the lower id
  double top_p = 1;
  double min_p = 0;
  std::uint64_t seed = 0;
  // What changes the logits before all of that. Penalties are subtracted for each token that was
  // said before: once, and as often as it was said.
  std::map<Token, float> bias;  // added
  double presence_penalty = 0;
  double frequency_penalty = 0;
  int top_k = 0;  // only the k highest stay, and what equals the last of them; 0: all
};

class Sampler {
 public:
  explicit Sampler(Sampling sampling) : sampling_(std::move(sampling)) {}
  // `mask` may be null: everything is allowed. At least one token must be. The same until
  // advance(); the mask outlives it.
  Draw next(const TokenMask* mask) const;
  void advance();

  // Whether the back end cannot make the draws.
  bool changes_logits() const;
  // Then this does.
  Token draw(std::span<const float> logits, const Draw& draw);
  // Part of the reply, drawn or not.
  void said(Token token);

 private:
  void keep_highest(const Draw& draw);

  const Sampling sampling_;
  std::uint64_t counter_ = 0;
  std::map<Token, int> said_;  // how often; with penalties
  std::vector<float> changed_;
};

}  // namespace corvid::model
