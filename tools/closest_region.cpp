// The part of edit_text.h that helps after a miss.
#include <algorithm>
#include <cstdint>

#include "tools/edit_text.h"
#include "tools/lines.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

constexpr int kMostLinesShown = 12;
constexpr std::size_t kMostLines = 50'000;  // of the file, so that a miss costs little
constexpr std::size_t kMostOldLines = 30;
constexpr std::size_t kMostLineBytes = 300;

// Pairs of neighbouring bytes of a line, white space left out. The first byte is one with 0, so
// that a line of one byte has a pair as well.
using Pairs = std::vector<std::uint16_t>;

Pairs pairs_of(std::string_view line) {
  Pairs pairs;
  unsigned char before = 0;
  for (unsigned char c : line.substr(0, kMostLineBytes)) {
    if (c == ' ' || c == '\t' || c == '\r') continue;
    pairs.push_back(static_cast<std::uint16_t>(before << 8 | c));
    before = c;
  }
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

// Dice's coefficient, and what share of the old line's pairs there is: the old text may be but a
// part of a line.
double likeness(const Pairs& old, const Pairs& line) {
  if (old.empty() || line.empty()) return 0;
  std::size_t same = 0;
  for (std::size_t i = 0, j = 0; i < old.size() && j < line.size();) {
    if (old[i] == line[j])
      ++same, ++i, ++j;
    else if (old[i] < line[j])
      ++i;
    else
      ++j;
  }
  const double shared = static_cast<double>(same);
  return 2 * shared / static_cast<double>(old.size() + line.size()) +
         shared / static_cast<double>(old.size());
}

}  // namespace

// The longest old line is looked for first; where it fits about as well in several places, the
// lines around it decide.
std::string closest_region(std::string_view text, std::string_view old_text) {
  std::vector<Line> lines = split_lines(text);
  if (lines.size() > kMostLines) lines.resize(kMostLines);
  std::vector<Line> old = split_lines(old_text);
  if (old.size() > kMostOldLines) old.resize(kMostOldLines);
  std::vector<Pairs> old_pairs, line_pairs;
  for (const Line& line : old) old_pairs.push_back(pairs_of(line.text));
  for (const Line& line : lines) line_pairs.push_back(pairs_of(line.text));
  const auto anchor =
      std::max_element(old_pairs.begin(), old_pairs.end(),
                       [](const Pairs& a, const Pairs& b) { return a.size() < b.size(); });
  if (anchor == old_pairs.end()) return {};
  const int offset = static_cast<int>(anchor - old_pairs.begin());

  const int n_lines = static_cast<int>(lines.size()), n_old = static_cast<int>(old.size());
  double best = 0;
  int best_start = 0;
  for (int i = 0; i < n_lines; ++i) {
    double score = likeness(*anchor, line_pairs[i]);
    if (score == 0) continue;
    for (int j = 0; j < n_old; ++j) {
      const int at = i - offset + j;
      if (j == offset || at < 0 || at >= n_lines) continue;
      score += likeness(old_pairs[j], line_pairs[at]);
    }
    if (score > best) best = score, best_start = i - offset;
  }
  if (best == 0) return {};
  const int first = std::max(best_start, 0) + 1;
  const int last = std::min({best_start + n_old, n_lines, first + kMostLinesShown - 1});
  return numbered(lines, first, last);
}

}  // namespace corvid::tools
