// Follows the code fences of Markdown through text, byte by byte.
//
// A fence is a line of three or more ` or ~, indented or not; it is closed by a line of at least as
// many of the same. Plain value, cheap to copy.
#pragma once

#include <algorithm>
#include <cstdint>

namespace corvid::model {

class CodeFence {
 public:
  void add(char c) {
    if (c == '\n') {
      end_line();
      return;
    }
    at_line_start_ = false;
    if (part_ == Part::indent) {
      if (c == ' ' || c == '\t') return;
      mark_ = c;
      part_ = c == '`' || c == '~' ? Part::marks : Part::text;
    }
    if (part_ == Part::marks) {
      if (c == mark_) {
        width_ = std::min(width_ + 1, 255);
        return;
      }
      part_ = width_ >= 3 ? Part::info : Part::text;
    }
    if (part_ == Part::info) {
      info_blank_ = info_blank_ && (c == ' ' || c == '\t' || c == '\r');
      info_has_backtick_ = info_has_backtick_ || c == '`';
    }
  }

  bool open() const { return open_width_ > 0; }
  bool at_line_start() const { return at_line_start_; }
  bool operator==(const CodeFence&) const = default;

 private:
  enum class Part : std::uint8_t { indent, marks, info, text };

  void end_line() {
    if (width_ >= 3 && part_ != Part::text) {
      if (!open()) {
        // `code` in one line is no fence
        if (mark_ == '~' || !info_has_backtick_) open_mark_ = mark_, open_width_ = width_;
      } else if (mark_ == open_mark_ && width_ >= open_width_ && info_blank_) {
        open_mark_ = 0, open_width_ = 0;
      }
    }
    const char mark = open_mark_;
    const std::uint8_t width = open_width_;
    *this = {};
    open_mark_ = mark;
    open_width_ = width;
  }

  Part part_ = Part::indent;
  bool at_line_start_ = true;
  bool info_blank_ = true;
  bool info_has_backtick_ = false;
  char mark_ = 0;
  std::uint8_t width_ = 0;
  char open_mark_ = 0;           // of the fence that is open
  std::uint8_t open_width_ = 0;  // 0: none
};

}  // namespace corvid::model
