#include "model/text/pre_split.h"

#include "model/text/unicode.h"
#include "model/text/utf8.h"

namespace corvid::model {
namespace {

// A character with its category and the position behind it.
struct Char {
  char32_t value = 0;
  Category category = Category::other;
  std::size_t end = 0;
};

Char char_at(std::string_view text, std::size_t at) {
  const CodePoint point = code_point_at(text, at);
  const Category category = point.valid ? category_of(point.value) : Category::other;
  return {point.valid ? point.value : 0xFFFFFFFF, category, at + point.bytes};
}

bool is_newline(const Char& c) {
  return c.value == '\r' || c.value == '\n';
}

bool is_ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_word(const Char& c) {
  return c.category == Category::letter || c.category == Category::mark;
}

bool is_sign(const Char& c) {
  return c.category == Category::punctuation || c.category == Category::symbol;
}

// The position behind the run of characters from `at` on for which `belongs` holds.
template <typename Belongs>
std::size_t run_end(std::string_view text, std::size_t at, Belongs belongs) {
  while (at < text.size()) {
    const Char c = char_at(text, at);
    if (!belongs(c)) break;
    at = c.end;
  }
  return at;
}

// --- deepseek-v3: three rules, each applied to what the one before left whole. -----------------

// Third rule, the alternatives in their order; 0 when none matches at `at`.
std::size_t v3_match(std::string_view text, std::size_t at) {
  const Char first = char_at(text, at);
  const std::size_t second = first.end;

  // [!-/:-@\[-`{-~][A-Za-z]+
  if (first.value < 0x80 && is_sign(first) && second < text.size() &&
      is_ascii_letter(text[second])) {
    std::size_t end = second;
    while (end < text.size() && is_ascii_letter(text[end])) ++end;
    return end;
  }
  // [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
  const bool may_lead = !is_newline(first) && first.category != Category::letter && !is_sign(first);
  if (may_lead && second < text.size() && is_word(char_at(text, second))) {
    return run_end(text, second, is_word);
  }
  if (is_word(first)) return run_end(text, at, is_word);
  //  ?[\p{P}\p{S}]+[\r\n]*
  const std::size_t signs = first.value == ' ' ? second : at;
  const std::size_t signs_end = run_end(text, signs, is_sign);
  if (signs_end > signs) return run_end(text, signs_end, is_newline);
  if (first.category != Category::space) return 0;

  // \s*[\r\n]+ reaches to the last newline of a run of white space.
  std::size_t newline_end = 0, last_start = at;
  const std::size_t end = run_end(text, at, [&, here = at](const Char& c) mutable {
    if (c.category != Category::space) return false;
    if (is_newline(c)) newline_end = c.end;
    last_start = here;
    here = c.end;
    return true;
  });
  if (newline_end) return newline_end;
  // \s+(?!\S) leaves the last one to what follows; \s+ takes what is left.
  return end == text.size() || last_start == at ? end : last_start;
}

void v3_words(std::string_view text, std::vector<std::string_view>& pieces) {
  std::size_t start = 0, at = 0;  // from start to at: matched by no rule so far
  while (at < text.size()) {
    const std::size_t end = v3_match(text, at);
    if (end == 0) {
      at = char_at(text, at).end;
      continue;
    }
    if (at > start) pieces.push_back(text.substr(start, at - start));
    pieces.push_back(text.substr(at, end - at));
    start = at = end;
  }
  if (at > start) pieces.push_back(text.substr(start));
}

bool is_cjk(const Char& c) {
  return (c.value >= 0x4E00 && c.value <= 0x9FA5) || (c.value >= 0x3040 && c.value <= 0x30FF);
}

bool is_number(const Char& c) {
  return c.category == Category::number;
}

void split_deepseek_v3(std::string_view text, std::vector<std::string_view>& pieces) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Char first = char_at(text, at);
    std::size_t end = 0;
    if (is_number(first)) {  // \p{N}{1,3}
      int left = 3;
      end = run_end(text, at, [&left](const Char& c) { return is_number(c) && left-- > 0; });
      pieces.push_back(text.substr(at, end - at));
    } else if (is_cjk(first)) {  // [一-龥぀-ゟ゠-ヿ]+
      end = run_end(text, at, is_cjk);
      v3_words(text.substr(at, end - at), pieces);
    } else {
      end = run_end(text, at, [](const Char& c) { return !is_number(c) && !is_cjk(c); });
      v3_words(text.substr(at, end - at), pieces);
    }
    at = end;
  }
}

}  // namespace

PreSplit pre_split_named(std::string_view name) {
  if (name == "deepseek-v3") return split_deepseek_v3;
  return nullptr;
}

std::string_view pre_split_names() {
  return "deepseek-v3";
}

}  // namespace corvid::model
