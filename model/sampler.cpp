#include "model/sampler.h"

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

}  // namespace corvid::model
