// The best k of n scores by radix select: linear time, no sorting, deterministic.
#pragma once

#include <span>

namespace corvid::model {

// Writes the positions of the out.size() largest scores in ascending order; of equal scores the
// lower positions win. out.size() <= scores.size(). NaN counts as the smallest value.
void top_k(std::span<const float> scores, std::span<int> out);

}  // namespace corvid::model
