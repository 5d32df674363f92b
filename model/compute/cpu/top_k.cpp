#include "model/compute/cpu/top_k.h"

#include <array>
#include <bit>
#include <cassert>
#include <cstdint>

namespace corvid::model {
namespace {

// Unsigned order of the result = order of the floats.
std::uint32_t ordered(float score) {
  if (score != score) return 0;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // -0 equals 0
  return bits ^ (0x80000000 | -(bits >> 31));
}

}  // namespace

void top_k(std::span<const float> scores, std::span<int> out) {
  assert(out.size() <= scores.size());
  if (out.empty()) return;
  // The k-th largest key, found digit by digit from the top.
  constexpr std::array<int, 3> kShifts = {21, 10, 0};
  constexpr std::array<int, 3> kBits = {11, 11, 10};
  std::uint32_t prefix = 0, prefix_mask = 0;
  std::size_t wanted = out.size();  // among the keys with this prefix
  for (std::size_t pass = 0; pass < kShifts.size(); ++pass) {
    std::array<std::uint32_t, 2048> counts{};
    const std::uint32_t digits = (1u << kBits[pass]) - 1;
    for (float score : scores) {
      const std::uint32_t key = ordered(score);
      if ((key & prefix_mask) == prefix) ++counts[key >> kShifts[pass] & digits];
    }
    std::uint32_t digit = digits;
    while (counts[digit] < wanted) wanted -= counts[digit--];
    prefix |= digit << kShifts[pass];
    prefix_mask |= digits << kShifts[pass];
    if (counts[digit] == wanted) break;  // all keys with this prefix are in
  }
  // Which scores are in follows no pattern, so nothing branches on it.
  std::size_t n = 0;
  for (std::size_t i = 0; n < out.size(); ++i) {
    const std::uint32_t head = ordered(scores[i]) & prefix_mask;
    const bool equal = (head == prefix) & (wanted > 0);
    out[n] = static_cast<int>(i);
    n += (head > prefix) | equal;
    wanted -= equal;
  }
}

}  // namespace corvid::model
