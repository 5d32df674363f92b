#include "model/compute/draw.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace corvid::model {
namespace {

struct Candidate {
  Token token;
  double weight;  // relative to the best one
};

// The fewest of the heaviest that weigh `share` of all; returns what they weigh.
double keep_heaviest(std::vector<Candidate>& candidates, double share, double total) {
  std::ranges::stable_sort(candidates, std::greater<>(), &Candidate::weight);
  double sum = 0;
  std::size_t kept = 0;
  while (kept < candidates.size() && (kept == 0 || sum < share * total)) {
    sum += candidates[kept++].weight;
  }
  candidates.resize(kept);
  return sum;
}

}  // namespace

double random_number(std::uint64_t state) {
  std::uint64_t z = state;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

Token draw_token(std::span<const float> logits, const Draw& draw) {
  return draw_token(logits, draw, random_number(random_state(draw.seed, draw.nth)));
}

Token draw_token(std::span<const float> logits, const Draw& draw, double random) {
  if (draw.n_tokens > 0) logits = logits.first(draw.n_tokens);
  Token best = -1;
  float highest = -std::numeric_limits<float>::infinity();
  for (std::size_t token = 0; token < logits.size(); ++token) {
    if (logits[token] > highest && draw.allows(token)) {
      highest = logits[token];
      best = static_cast<Token>(token);
    }
  }
  if (best < 0 || draw.temperature <= 0) return best;

  // What weighs less than e^-30 of the best is never drawn.
  const double least = std::max(draw.min_p, std::exp(-30.0));
  std::vector<Candidate> candidates;
  double total = 0;
  for (std::size_t token = 0; token < logits.size(); ++token) {
    const double weight = std::exp((logits[token] - highest) / draw.temperature);
    if (!(weight >= least) || !draw.allows(token)) continue;
    candidates.push_back({static_cast<Token>(token), weight});
    total += weight;
  }
  if (draw.top_p < 1) total = keep_heaviest(candidates, draw.top_p, total);
  double left = random * total;
  for (const Candidate& candidate : candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate.token;
  }
  return candidates.back().token;
}

}  // namespace corvid::model
