// A text as lines: 1-based numbers, line ends kept apart from the lines. Views into the text.
// Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace corvid::tools {

struct Line {
  std::string_view text;  // without its end
  std::string_view end;   // "\n", "\r\n", or empty for a last line without one
};

// No lines for an empty text; a newline at the end starts no further line.
std::vector<Line> split_lines(std::string_view text);

// Lines first..last (1-based, inclusive) with their ends, as they stand in `text`.
std::string_view line_range(std::string_view text, const std::vector<Line>& lines, int first,
                            int last);

// A short fingerprint of what stands in these lines, to see later whether they changed:
// "12-40:3f9a2c". Empty when there are no such lines.
std::string line_tag(std::string_view text, const std::vector<Line>& lines, int first, int last);

// What a tag or a range ("12-15", "12") names; 0-0 when it cannot be read.
struct LineRange {
  int first = 0, last = 0;
};
LineRange parse_line_range(std::string_view words);

// "12<TAB>text" for each of the lines first..last, long lines cut: what `read` shows and what edit
// errors quote. lines[0] has the number `base`.
std::string numbered(const std::vector<Line>& lines, int first, int last, int base = 1);

}  // namespace corvid::tools
