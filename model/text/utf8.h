// UTF-8: strict decoding (no overlong forms, no surrogates) and cleaning.
//
// Free functions without state; any thread; nothing throws.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace corvid::model {

struct CodePoint {
  char32_t value = 0;
  int bytes = 1;
  bool valid = true;  // false: one byte that belongs to no sequence; value is that byte
};

// The code point that starts at `at` (< text.size()).
CodePoint code_point_at(std::string_view text, std::size_t at);

// How many bytes at the end of `text` may be the start of a sequence that is not complete yet.
std::size_t unfinished_utf8(std::string_view text);

bool is_utf8(std::string_view text);

// Every byte that belongs to no sequence becomes U+FFFD.
std::string clean_utf8(std::string_view text);

void append_utf8(std::string& out, char32_t code_point);

}  // namespace corvid::model
