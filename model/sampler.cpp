#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "model/error.h"
#include "model/text/constraint.h"

namespace corvid::model {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014) as a function of its position: a number in [0, 1).
double random_at(std::uint64_t seed, std::uint64_t position) {
  std::uint64_t z = seed + (position + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

struct Candidate {
  Token token;
  double weight;  // relative to the best one
};

}  // namespace

Sampler::Sampler(Sampling sampling) : sampling_(sampling) {}

Token Sampler::sample(std::span<const float> logits, const TokenMask* mask) {
  const auto allowed = [mask](std::size_t token) {
    return !mask || mask->allows(static_cast<Token>(token));
  };
  Token best = -1;
  float highest = -std::numeric_limits<float>::infinity();
  for (std::size_t token = 0; token < logits.size(); ++token) {
    if (logits[token] > highest && allowed(token)) {
      highest = logits[token];
      best = static_cast<Token>(token);
    }
  }
  if (best < 0) {
    throw ModelError("the model computed no number for any token; its file may be damaged");
  }
  if (sampling_.temperature <= 0) return best;

  // What weighs less than e^-30 of the best is never drawn.
  const double least = std::max(sampling_.min_p, std::exp(-30.0));
  std::vector<Candidate> candidates;
  double total = 0;
  for (std::size_t token = 0; token < logits.size(); ++token) {
    const double weight = std::exp((logits[token] - highest) / sampling_.temperature);
    if (!(weight >= least) || !allowed(token)) continue;
    candidates.push_back({static_cast<Token>(token), weight});
    total += weight;
  }
  if (sampling_.top_p < 1) {
    std::ranges::stable_sort(candidates, std::greater<>(), &Candidate::weight);
    double sum = 0;
    std::size_t kept = 0;
    while (kept < candidates.size() && (kept == 0 || sum < sampling_.top_p * total)) {
      sum += candidates[kept++].weight;
    }
    candidates.resize(kept);
    total = sum;
  }
  double left = random_at(sampling_.seed, counter_++) * total;
  for (const Candidate& candidate : candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate.token;
  }
  return candidates.back().token;
}

}  // namespace corvid::model
