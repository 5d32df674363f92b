#include "model/text/pre_split.h"

#include <algorithm>
#include <iterator>

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

// White space at `at`: \s*[\r\n]+|\s+(?!\S)|\s+
std::size_t space_match(std::string_view text, std::size_t at) {
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
  return first.category == Category::space ? space_match(text, at) : 0;
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

// --- deepseek-llm: six rules, each applied to all pieces that the ones before have made. ---------

struct Range {
  char32_t first, last;
};
// The letters of [A-Za-zµÀ-ÖØ-öø-ƺ...]: those with upper and lower case, as far as this rule
// knows them.
constexpr Range kLlmLetters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},
    {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
    {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x376},     {0x377, 0x377},
    {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},
    {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},
    {0x48A, 0x52F},     {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},
    {0x13F8, 0x13FD},   {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},
    {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},
    {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},
    {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},
    {0x1FB6, 0x1FBC},   {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},
    {0x1FD0, 0x1FD3},   {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},
    {0x1FF6, 0x1FFC},   {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},
    {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},
    {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},
    {0x213C, 0x213F},   {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2183},
    {0x2184, 0x2184},   {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},
    {0x2CF2, 0x2CF2},   {0x2CF3, 0x2CF3},   {0xA640, 0xA66D},   {0xA680, 0xA69B},
    {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},   {0xAB70, 0xABBF},
    {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},
    {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2},
    {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};

bool is_llm_letter(const Char& c) {
  const auto after = std::ranges::upper_bound(kLlmLetters, c.value, {}, &Range::first);
  return after != std::begin(kLlmLetters) && c.value <= std::prev(after)->last;
}

bool within(const Char& c, std::initializer_list<Range> ranges) {
  return std::ranges::any_of(
      ranges, [&c](const Range& r) { return c.value >= r.first && c.value <= r.last; });
}

// [!-/:-~！-／：-～‘-‟　-。]; from : to ~ there are letters, which the rule before has taken.
bool is_llm_sign(const Char& c) {
  return within(c, {{'!', '/'},
                    {':', '~'},
                    {0xFF01, 0xFF0F},
                    {0xFF1A, 0xFF5E},
                    {0x2018, 0x201F},
                    {0x3000, 0x3002}});
}

// [一-龥ࠀ-一가-퟿]
bool is_llm_word(const Char& c) {
  return within(c, {{0x0800, 0x9FA5}, {0xAC00, 0xD7FF}});
}

using Characters = bool (*)(const Char&);

// \s?[...]+, or without the space: cuts `piece` at every match.
void cut_runs(std::string_view piece, Characters belongs, bool with_space,
              std::vector<std::string_view>& out) {
  std::size_t start = 0, at = 0;  // from start to at: no match
  while (at < piece.size()) {
    const Char first = char_at(piece, at);
    std::size_t run = at;
    if (!belongs(first)) {
      const bool leads = with_space && first.category == Category::space &&
                         first.end < piece.size() && belongs(char_at(piece, first.end));
      if (!leads) {
        at = first.end;
        continue;
      }
      run = first.end;
    }
    const std::size_t end = run_end(piece, run, belongs);
    if (at > start) out.push_back(piece.substr(start, at - start));
    out.push_back(piece.substr(at, end - at));
    start = at = end;
  }
  if (at > start) out.push_back(piece.substr(start));
}

// \s+$
void cut_last_space(std::string_view piece, std::vector<std::string_view>& out) {
  std::size_t space = piece.size();  // where the last white space begins
  for (std::size_t at = 0; at < piece.size();) {
    const Char c = char_at(piece, at);
    if (c.category != Category::space) {
      space = piece.size();
    } else if (space == piece.size()) {
      space = at;
    }
    at = c.end;
  }
  if (space > 0) out.push_back(piece.substr(0, space));
  if (space < piece.size()) out.push_back(piece.substr(space));
}

// [\r\n]
void cut_newlines(std::string_view text, std::vector<std::string_view>& out) {
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\r' && text[at] != '\n') continue;
    if (at > start) out.push_back(text.substr(start, at - start));
    out.push_back(text.substr(at, 1));
    start = at + 1;
  }
  if (start < text.size()) out.push_back(text.substr(start));
}

void split_deepseek_llm(std::string_view text, std::vector<std::string_view>& pieces) {
  std::vector<std::string_view> now, next;
  cut_newlines(text, now);
  const auto rule = [&](auto cut) {
    next.clear();
    for (std::string_view piece : now) cut(piece, next);
    now.swap(next);
  };
  rule([](auto piece, auto& out) { cut_runs(piece, is_llm_letter, true, out); });
  rule([](auto piece, auto& out) { cut_runs(piece, is_llm_sign, true, out); });
  rule(cut_last_space);
  rule([](auto piece, auto& out) { cut_runs(piece, is_llm_word, false, out); });
  rule([](auto piece, auto& out) { cut_runs(piece, is_number, false, out); });
  pieces.insert(pieces.end(), now.begin(), now.end());
}

// --- glm4: one rule of alternatives that leaves nothing out. -------------------------------------

bool is_letter(const Char& c) {
  return c.category == Category::letter;
}

// [^\s\p{L}\p{N}]
bool is_glm_sign(const Char& c) {
  return c.category != Category::space && !is_letter(c) && !is_number(c);
}

// 's 't 're 've 'm 'll 'd, in upper case too; 0 when there is none.
std::size_t contraction_end(std::string_view text, std::size_t at) {
  if (text[at] != '\'' || at + 1 == text.size()) return 0;
  const auto lower = [text](std::size_t i) { return i < text.size() ? text[i] | 0x20 : 0; };
  const int first = lower(at + 1), second = lower(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  const bool two = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                   (first == 'l' && second == 'l');
  return two ? at + 3 : 0;
}

std::size_t glm4_match(std::string_view text, std::size_t at) {
  if (const std::size_t end = contraction_end(text, at)) return end;
  const Char first = char_at(text, at);
  // [^\r\n\p{L}\p{N}]?\p{L}+
  if (is_letter(first)) return run_end(text, at, is_letter);
  if (!is_newline(first) && !is_number(first) && first.end < text.size() &&
      is_letter(char_at(text, first.end))) {
    return run_end(text, first.end, is_letter);
  }
  if (is_number(first)) {  // \p{N}{1,3}
    int left = 3;
    return run_end(text, at, [&left](const Char& c) { return is_number(c) && left-- > 0; });
  }
  //  ?[^\s\p{L}\p{N}]+[\r\n]*
  const std::size_t signs = first.value == ' ' ? first.end : at;
  const std::size_t signs_end = run_end(text, signs, is_glm_sign);
  if (signs_end > signs) return run_end(text, signs_end, is_newline);
  return space_match(text, at);
}

void split_glm4(std::string_view text, std::vector<std::string_view>& pieces) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = glm4_match(text, at);
    pieces.push_back(text.substr(at, end - at));
    at = end;
  }
}

struct Named {
  std::string_view name;
  PreSplit split;
};
constexpr Named kNamed[] = {
    {"deepseek-v3", split_deepseek_v3},
    {"deepseek-llm", split_deepseek_llm},
    {"glm4", split_glm4},
    {"chatglm-bpe", split_glm4},
};

}  // namespace

PreSplit pre_split_named(std::string_view name) {
  const auto found = std::ranges::find(kNamed, name, &Named::name);
  return found == std::end(kNamed) ? nullptr : found->split;
}

std::string pre_split_names() {
  std::string names;
  for (const Named& named : kNamed) {
    names += (names.empty() ? "" : ", ") + std::string(named.name);
  }
  return names;
}

}  // namespace corvid::model
