#include "model/text/unicode.h"

#include <algorithm>
#include <iterator>

namespace corvid::model {
namespace {

// Sorted; each entry is the first code point of a run, shifted left by 3, and its category.
constexpr std::uint32_t kRuns[] = {
#include "model/text/unicode_table.inc"
};

}  // namespace

Category category_of(char32_t code_point) {
  const std::uint32_t key = static_cast<std::uint32_t>(code_point) << 3 | 7;
  return static_cast<Category>(
      *std::prev(std::upper_bound(std::begin(kRuns), std::end(kRuns), key)) & 7);
}

}  // namespace corvid::model
