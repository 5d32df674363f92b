#include "model/sampler.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "model/text/constraint.h"

namespace corvid::model {
Draw Sampler::next(const TokenMask* mask) const {
  Draw draw{.temperature = sampling_.temperature,
            .top_p = sampling_.top_p,
            .min_p = sampling_.min_p,
            .seed = sampling_.seed,
            .nth = counter_};
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
  std::vector<float> allowed;
  for (std::size_t token = 0; token < changed_.size(); ++token) {
    if (draw.allows(token) && changed_[token] == changed_[token])
      allowed.push_back(changed_[token]);
  }
  if (allowed.size() <= k) return;
  const auto last = allowed.begin() + static_cast<std::ptrdiff_t>(k) - 1;
  std::ranges::nth_element(allowed, last, std::greater<>());
  for (float& logit : changed_) {
    if (logit < *last) logit = -std::numeric_limits<float>::infinity();
  }
}

}  // namespace corvid::model
