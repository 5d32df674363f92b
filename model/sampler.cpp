#include "model/sampler.h"

#include <algorithm>
#include <functional>
#include <limits>

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

}  // namespace

Draw Sampler::next(const TokenMask* mask) const {
  const bool random = sampling_.temperature > 0;
  Draw draw{.temperature = sampling_.temperature,
            .top_p = sampling_.top_p,
            .min_p = sampling_.min_p,
            .random = random ? random_at(sampling_.seed, counter_) : 0};
  if (mask) {
    draw.allowed = mask->words();
    draw.n_tokens = mask->size();
  }
  return draw;
}

void Sampler::advance() {
  if (sampling_.temperature > 0) ++counter_;
}

bool Sampler::changes_logits() const {
  return !sampling_.bias.empty() || sampling_.presence_penalty != 0 ||
         sampling_.frequency_penalty != 0 || sampling_.top_k > 0;
}

void Sampler::said(Token token) {
  if (sampling_.presence_penalty != 0 || sampling_.frequency_penalty != 0) ++said_[token];
}

Token Sampler::draw(std::span<const float> logits, const Draw& draw) {
  if (draw.n_tokens > 0) logits = logits.first(static_cast<std::size_t>(draw.n_tokens));
  changed_.assign(logits.begin(), logits.end());
  const auto lower = [&](Token token, double by) {
    const auto at = static_cast<std::size_t>(token);
    if (at < changed_.size()) changed_[at] -= static_cast<float>(by);
  };
  for (const auto& [token, bias] : sampling_.bias) lower(token, -bias);
  for (const auto& [token, n] : said_) {
    lower(token, sampling_.presence_penalty + n * sampling_.frequency_penalty);
  }
  keep_highest(draw);
  return draw_token(changed_, draw);
}

void Sampler::keep_highest(const Draw& draw) {
  const auto k = static_cast<std::size_t>(sampling_.top_k);
  if (k == 0) return;
  const auto is_allowed = [&draw](std::size_t token) {
    return draw.allowed.empty() || (draw.allowed[token >> 6] >> (token & 63) & 1);
  };
  std::vector<float> allowed;
  for (std::size_t token = 0; token < changed_.size(); ++token) {
    if (is_allowed(token) && changed_[token] == changed_[token]) allowed.push_back(changed_[token]);
  }
  if (allowed.size() <= k) return;
  const auto last = allowed.begin() + static_cast<std::ptrdiff_t>(k) - 1;
  std::ranges::nth_element(allowed, last, std::greater<>());
  for (float& logit : changed_) {
    if (logit < *last) logit = -std::numeric_limits<float>::infinity();
  }
}

}  // namespace corvid::model
