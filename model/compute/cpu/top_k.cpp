#include "model/compute/cpu/top_k.h"

#include <array>
#include <bit>
#include <cassert>
#include <cstdint>
#include <utility>
#include <vector>

namespace corvid::model {
namespace {

// Unsigned order of the result = order of the floats.
std::uint32_t ordered(float score) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // -0 equals 0
  const std::uint32_t key = bits ^ (0x80000000 | -(bits >> 31));
  return score != score ? 0 : key;
}

using Counts = std::array<std::uint32_t, 2048>;

// The keys above the prefix are in, and `wanted` of those that begin with it.
struct Cut {
  std::uint32_t prefix = 0, mask = 0;
  std::size_t wanted = 0;

  // By how often each next digit follows the prefix. True: all keys that begin with it are in.
  bool narrow(const Counts& counts, int shift, std::uint32_t digits) {
    std::uint32_t digit = digits;
    while (counts[digit] < wanted) wanted -= counts[digit--];
    prefix |= digit << shift;
    mask |= digits << shift;
    return counts[digit] == wanted;
  }
};

Counts count_first_digits(std::span<const float> scores, int shift) {
  // Neighbours often share the digit, and a counter is not counted up twice at once.
  std::array<Counts, 4> ways{};
  for (std::size_t i = 0; i < scores.size(); ++i) ++ways[i % 4][ordered(scores[i]) >> shift];
  for (std::size_t digit = 0; digit < ways[0].size(); ++digit) {
    ways[0][digit] += ways[1][digit] + ways[2][digit] + ways[3][digit];
  }
  return ways[0];
}

// The k-th largest key, found digit by digit from the top.
Cut cut_at(std::span<const float> scores, std::size_t k) {
  Cut cut{.wanted = k};
  if (cut.narrow(count_first_digits(scores, 21), 21, 2047)) return cut;
  static thread_local std::vector<std::uint32_t> left;  // keys that begin with the first digit
  left.resize(scores.size() + 1);
  std::size_t n = 0;
  for (float score : scores) {
    left[n] = ordered(score);
    n += (left[n] & cut.mask) == cut.prefix;
  }
  for (const auto& [shift, digits] : {std::pair{10, 2047u}, {0, 1023u}}) {
    Counts counts{};
    for (std::size_t i = 0; i < n; ++i) {
      if ((left[i] & cut.mask) == cut.prefix) ++counts[left[i] >> shift & digits];
    }
    if (cut.narrow(counts, shift, digits)) break;
  }
  return cut;
}

}  // namespace

void top_k(std::span<const float> scores, std::span<int> out) {
  assert(out.size() <= scores.size());
  if (out.empty()) return;
  Cut cut = cut_at(scores, out.size());
  // Which scores are in follows no pattern, so nothing branches on it.
  std::size_t n = 0;
  for (std::size_t i = 0; n < out.size(); ++i) {
    const std::uint32_t head = ordered(scores[i]) & cut.mask;
    const bool equal = (head == cut.prefix) & (cut.wanted > 0);
    out[n] = static_cast<int>(i);
    n += (head > cut.prefix) | equal;
    cut.wanted -= equal;
  }
}

}  // namespace corvid::model
