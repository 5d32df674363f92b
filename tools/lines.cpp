#include "tools/lines.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "tools/text.h"

namespace corvid::tools {

std::vector<Line> split_lines(std::string_view text) {
  std::vector<Line> lines;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    if (newline == text.npos) {
      lines.push_back({text, {}});
      break;
    }
    const std::size_t end = newline > 0 && text[newline - 1] == '\r' ? newline - 1 : newline;
    lines.push_back({text.substr(0, end), text.substr(end, newline + 1 - end)});
    text.remove_prefix(newline + 1);
  }
  return lines;
}

std::string_view line_range(std::string_view text, const std::vector<Line>& lines, int first,
                            int last) {
  if (first < 1 || last < first || last > static_cast<int>(lines.size())) return {};
  const char* begin = lines[first - 1].text.data();
  const Line& final = lines[last - 1];
  const char* end = final.text.data() + final.text.size() + final.end.size();
  return text.substr(begin - text.data(), end - begin);
}

std::string line_tag(std::string_view text, const std::vector<Line>& lines, int first, int last) {
  const std::string_view range = line_range(text, lines, first, last);
  if (range.empty()) return {};
  const unsigned hash = XXH3_64bits(range.data(), range.size()) & 0xFFFFFF;
  char tag[48];
  std::snprintf(tag, sizeof tag, "%d-%d:%06x", first, last, hash);
  return tag;
}

LineRange parse_line_range(std::string_view words) {
  words = words.substr(0, words.find(':'));
  LineRange range;
  const char* end = words.data() + words.size();
  auto [next, problem] = std::from_chars(words.data(), end, range.first);
  if (problem != std::errc() || range.first < 1) return {};
  range.last = range.first;
  if (next == end) return range;
  if (*next != '-') return {};
  auto [rest, second] = std::from_chars(next + 1, end, range.last);
  if (second != std::errc() || rest != end || range.last < range.first) return {};
  return range;
}

std::string numbered(const std::vector<Line>& lines, int first, int last, int base) {
  constexpr std::size_t kLongestLine = 2000;
  std::string out;
  for (int i = std::max(first, 1); i <= std::min<int>(last, lines.size()); ++i) {
    const std::string_view line = lines[i - 1].text;
    out += std::to_string(base + i - 1);
    out += '\t';
    if (line.size() > kLongestLine) {
      const std::string_view start = utf8_prefix(line, kLongestLine);
      out += start;
      out += " [... " + std::to_string(line.size() - start.size()) + " bytes more in this line]";
    } else {
      out += line;
    }
    out += '\n';
  }
  return out;
}

}  // namespace corvid::tools
