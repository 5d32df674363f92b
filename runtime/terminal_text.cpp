#include "runtime/terminal_text.h"

#include <array>
#include <cstdio>

#include "model/text/unicode.h"
#include "model/text/utf8.h"

namespace corvid::runtime {
namespace {

struct Range {
  char32_t first, last;
};

// Characters without a shape that change how others are shown, or hide (Unicode 14: Bidi_Control,
// default-ignorable format characters, tags, line and paragraph separators).
constexpr std::array<Range, 13> kHidden = {{{0xAD, 0xAD},
                                            {0x61C, 0x61C},
                                            {0x115F, 0x1160},
                                            {0x17B4, 0x17B5},
                                            {0x180B, 0x180E},
                                            {0x200B, 0x200B},
                                            {0x200E, 0x200F},
                                            {0x2028, 0x202E},
                                            {0x2060, 0x206F},
                                            {0x3164, 0x3164},
                                            {0xFEFF, 0xFEFF},
                                            {0xFFF0, 0xFFFB},
                                            {0xE0000, 0xE0FFF}}};
// Joiners and variation selectors: invisible too, but emoji and some scripts need them.
constexpr std::array<Range, 2> kJoiners = {{{0x200C, 0x200D}, {0xFE00, 0xFE0F}}};
// East Asian wide and full-width characters, and emoji (Unicode 14: East_Asian_Width W and F).
constexpr std::array<Range, 17> kWide = {{{0x1100, 0x115E},
                                          {0x231A, 0x231B},
                                          {0x23E9, 0x23EC},
                                          {0x2E80, 0x303E},
                                          {0x3041, 0x33FF},
                                          {0x3400, 0x4DBF},
                                          {0x4E00, 0xA4CF},
                                          {0xA960, 0xA97F},
                                          {0xAC00, 0xD7A3},
                                          {0xF900, 0xFAFF},
                                          {0xFE10, 0xFE19},
                                          {0xFE30, 0xFE6F},
                                          {0xFF01, 0xFF60},
                                          {0xFFE0, 0xFFE6},
                                          {0x1F300, 0x1F64F},
                                          {0x1F680, 0x1FAFF},
                                          {0x20000, 0x3FFFD}}};

template <std::size_t N>
bool is_in(const std::array<Range, N>& ranges, char32_t c) {
  for (const Range& range : ranges) {
    if (c >= range.first && c <= range.last) return true;
  }
  return false;
}

int columns_of(char32_t c) {
  if (c < 0x300) return 1;
  if (is_in(kJoiners, c) || model::category_of(c) == model::Category::mark) return 0;
  return is_in(kWide, c) ? 2 : 1;
}

void append_escaped(std::string& out, char32_t c) {
  char text[16];
  std::snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : "\\u{%x}", static_cast<unsigned>(c));
  out += text;
}

}  // namespace

std::string shown(std::string_view text, Care care) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const model::CodePoint point = model::code_point_at(text, at);
    const char32_t c = point.value;
    const bool ends_line = c == '\n' || c == '\t';
    const bool is_line_end = c == '\r' && text.substr(at + 1).starts_with('\n');
    const bool is_control = (c < 0x20 && !ends_line) || (c >= 0x7F && c < 0xA0);
    const bool is_hidden = is_in(kHidden, c) || (care == Care::command && is_in(kJoiners, c));
    if (is_line_end && care == Care::prose) {
      // a line that ends as on Windows
    } else if (!point.valid || is_control || is_hidden) {
      append_escaped(out, c);
    } else {
      out += text.substr(at, static_cast<std::size_t>(point.bytes));
    }
    at += static_cast<std::size_t>(point.bytes);
  }
  return out;
}

int columns_of(std::string_view text) {
  int columns = 0;
  for (std::size_t at = 0; at < text.size();) {
    const model::CodePoint point = model::code_point_at(text, at);
    columns += columns_of(point.value);
    at += static_cast<std::size_t>(point.bytes);
  }
  return columns;
}

std::string fitted(std::string_view text, int columns) {
  std::string out;
  int used = 0;
  std::size_t cut = 0;  // bytes of `out` that leave room for the mark
  for (std::size_t at = 0; at < text.size();) {
    const model::CodePoint point = model::code_point_at(text, at);
    const int wide = columns_of(point.value);
    if (used + wide > columns) {
      out.resize(cut);
      return out + (columns > 0 ? "…" : "");
    }
    const bool is_blank = point.value == '\n' || point.value == '\t';
    out +=
        is_blank ? std::string_view(" ") : text.substr(at, static_cast<std::size_t>(point.bytes));
    used += wide;
    if (used < columns) cut = out.size();
    at += static_cast<std::size_t>(point.bytes);
  }
  return out;
}

}  // namespace corvid::runtime
