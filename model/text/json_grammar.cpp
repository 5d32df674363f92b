#include "model/text/json_grammar.h"

#include <algorithm>

namespace corvid::model {
namespace {

using Part = JsonState::Part;

constexpr int kMaxSpaces = 40;  // in a row
constexpr int kMaxNumberBytes = 40;

enum NumberPart : std::uint8_t {
  minus,
  zero,
  whole,
  point,
  fraction,
  e,
  e_sign,
  exponent,
  exponent_end,  // after two digits: more would leave the range of doubles
};

bool is_complete(std::uint8_t number_part) {
  return number_part == zero || number_part == whole || number_part == fraction ||
         number_part == exponent || number_part == exponent_end;
}

// Inside a string, behind a backslash. A high surrogate must be followed by a low one.
enum Escape : std::uint8_t {
  none,
  backslash,
  hex1,
  hex2,
  hex3,
  hex4,
  hex2_of_d,  // D800 to DBFF, or up to D7FF
  high3,
  high4,
  low_backslash,
  low_u,
  low_d,
  low_hex2,
};

const std::vector<std::string> kTrueFalse = {"false", "true"};
const std::vector<std::string> kNullText = {"null"};

bool is_digit(std::uint8_t c) {
  return c >= '0' && c <= '9';
}

bool is_hex(std::uint8_t c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_space(std::uint8_t c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

}  // namespace

// --- Choice -------------------------------------------------------------------------------------

Choice Choice::of(const std::vector<std::string>& texts, std::uint64_t excluded) {
  return {&texts, excluded, 0, static_cast<std::uint16_t>(texts.size()), 0};
}

bool Choice::step(std::uint8_t byte) {
  const auto fits = [&](int i) {
    const std::string& text = (*texts)[i];
    return text.size() > at && static_cast<std::uint8_t>(text[at]) == byte;
  };
  while (first < end && !fits(first)) ++first;
  std::uint16_t last = first;
  bool any = false;
  for (; last < end && fits(last); ++last) any = any || left(last);
  end = last;
  ++at;
  return any;
}

std::optional<int> Choice::complete() const {
  // Sorted: a text comes before those that it begins.
  if (first < end && left(first) && (*texts)[first].size() == at) return first;
  return std::nullopt;
}

bool Choice::can_go_on() const {
  for (int i = first; i < end; ++i) {
    if (left(i) && (*texts)[i].size() > at) return true;
  }
  return false;
}

std::optional<std::uint8_t> Choice::only_byte() const {
  std::optional<std::uint8_t> only;
  for (int i = first; i < end; ++i) {
    if (!left(i)) continue;
    const std::string& text = (*texts)[i];
    if (text.size() == at) return std::nullopt;
    const auto next = static_cast<std::uint8_t>(text[at]);
    if (only && *only != next) return std::nullopt;
    only = next;
  }
  return only;
}

// --- Values -------------------------------------------------------------------------------------

JsonState JsonGrammar::start(std::uint16_t schema) const {
  JsonState state;
  state.schema = schema;
  return state;
}

bool JsonGrammar::may_end(const JsonState& s) const {
  if (s.depth > 0) return false;
  switch (s.part) {
    case Part::done:
      return true;
    case Part::number:
      return is_complete(s.number_part);
    case Part::choice:
      return s.choice.complete().has_value();
    default:
      return false;
  }
}

bool JsonGrammar::step(JsonState& s, std::uint8_t c) const {
  const bool between = s.part == Part::colon || s.part == Part::first || s.part == Part::next ||
                       s.part == Part::after || (s.part == Part::value && s.depth > 0);
  if (between && is_space(c)) return ++s.spaces <= kMaxSpaces;
  s.spaces = 0;
  switch (s.part) {
    case Part::value:
      return begin_value(s, s.schema, c);
    case Part::string:
    case Part::free_key:
      return step_string(s, c);
    case Part::known_key:
      return step_known_key(s, c);
    case Part::number:
      return step_number(s, c);
    case Part::choice:
      return step_choice(s, c);
    case Part::colon:
      s.part = Part::value;
      return c == ':';
    case Part::first:
      return step_first(s, c);
    case Part::next:
      return step_item(s, c);
    case Part::after:
      return step_after(s, c);
    case Part::done:
      return false;
  }
  return false;
}

bool JsonGrammar::begin_value(JsonState& s, std::uint16_t schema, std::uint8_t c) const {
  const Node& node = nodes_[schema];
  s.schema = schema;
  const auto choose = [&](const std::vector<std::string>& texts) {
    s.part = Part::choice;
    s.choice = Choice::of(texts);
    return step_choice(s, c);
  };
  if (!node.choices.empty()) return choose(node.choices);
  switch (c) {
    case '"':
      s.part = Part::string;
      return node.types & kString;
    case '[':
      return (node.types & kArray) && open(s, false);
    case '{':
      return (node.types & kObject) && open(s, true);
    case 't':
    case 'f':
      return (node.types & kBoolean) && choose(kTrueFalse);
    case 'n':
      return (node.types & kNull) && choose(kNullText);
    default:
      break;
  }
  s.part = Part::number;
  s.digits = 1;
  s.number_part = c == '-' ? minus : c == '0' ? zero : whole;
  return (c == '-' || is_digit(c)) && (node.types & (kInteger | kNumber));
}

bool JsonGrammar::open(JsonState& s, bool is_object) const {
  if (s.depth == kMaxJsonDepth) return false;
  s.frames[s.depth++] = {0, s.schema, is_object};
  s.part = Part::first;
  return true;
}

bool JsonGrammar::close(JsonState& s) const {
  const JsonState::Frame frame = s.frames[s.depth - 1];
  s.frames[--s.depth] = {};
  end_value(s);
  return !frame.is_object || (nodes_[frame.schema].required & ~frame.used) == 0;
}

void JsonGrammar::end_value(JsonState& s) const {
  s.choice = {};
  s.part = s.depth == 0 ? Part::done : Part::after;
}

bool JsonGrammar::step_first(JsonState& s, std::uint8_t c) const {
  if (c == (s.frames[s.depth - 1].is_object ? '}' : ']')) return close(s);
  return step_item(s, c);
}

bool JsonGrammar::step_item(JsonState& s, std::uint8_t c) const {
  const JsonState::Frame& frame = s.frames[s.depth - 1];
  const Node& node = nodes_[frame.schema];
  if (!frame.is_object) return begin_value(s, node.items, c);
  if (node.names.empty()) {
    s.part = Part::free_key;
    return c == '"';
  }
  s.part = Part::known_key;
  s.choice = Choice::of(node.names, frame.used);
  return c == '"' && s.choice.can_go_on();
}

bool JsonGrammar::step_after(JsonState& s, std::uint8_t c) const {
  const JsonState::Frame& frame = s.frames[s.depth - 1];
  if (c == (frame.is_object ? '}' : ']')) return close(s);
  s.part = Part::next;
  const Node& node = nodes_[frame.schema];
  if (!frame.is_object || node.names.empty()) return c == ',';
  return c == ',' && Choice::of(node.names, frame.used).can_go_on();
}

bool JsonGrammar::step_known_key(JsonState& s, std::uint8_t c) const {
  if (!s.choice.step(c)) return false;
  if (const std::optional<int> chosen = s.choice.complete()) {  // a quote ends each of them
    JsonState::Frame& frame = s.frames[s.depth - 1];
    frame.used |= std::uint64_t{1} << *chosen;
    s.schema = nodes_[frame.schema].values[*chosen];
    s.choice = {};
    s.part = Part::colon;
  }
  return true;
}

bool JsonGrammar::step_choice(JsonState& s, std::uint8_t c) const {
  const Choice before = s.choice;
  if (s.choice.step(c)) {
    if (s.choice.complete() && !s.choice.can_go_on()) end_value(s);
    return true;
  }
  if (!before.complete() || s.depth == 0) return false;
  end_value(s);
  return step(s, c);
}

bool JsonGrammar::step_number(JsonState& s, std::uint8_t c) const {
  const auto go_on = [&s](NumberPart part) {
    s.number_part = part;
    return ++s.digits <= kMaxNumberBytes || !is_complete(part);
  };
  const bool fractions = nodes_[s.schema].types & kNumber;
  switch (s.number_part) {
    case minus:
      if (is_digit(c)) return go_on(c == '0' ? zero : whole);
      return false;
    case whole:
      if (is_digit(c)) return go_on(whole);
      [[fallthrough]];
    case zero:
      if (c == '.' && fractions) return go_on(point);
      [[fallthrough]];
    case fraction:
      if (s.number_part == fraction && is_digit(c)) return go_on(fraction);
      if ((c == 'e' || c == 'E') && fractions) return go_on(e);
      break;
    case point:
      return is_digit(c) && go_on(fraction);
    case e:
      if (c == '+' || c == '-') return go_on(e_sign);
      [[fallthrough]];
    case e_sign:
      return is_digit(c) && go_on(exponent);
    case exponent:
      if (is_digit(c)) return go_on(exponent_end);
      break;
    case exponent_end:
      break;
  }
  if (s.depth == 0) return false;
  s.digits = 0;
  s.number_part = minus;
  end_value(s);
  return step(s, c);
}

// --- Strings ------------------------------------------------------------------------------------

bool JsonGrammar::step_string(JsonState& s, std::uint8_t c) const {
  if (s.escape != none) return step_escape(s, c);
  if (c == static_cast<std::uint8_t>(forbidden_[s.matched])) {
    if (++s.matched == forbidden_.size()) return false;
  } else {
    s.matched = c == static_cast<std::uint8_t>(forbidden_[0]);
  }
  if (s.continuation > 0) {
    if (c < s.low || c > s.high) return false;
    --s.continuation;
    s.low = s.continuation ? 0x80 : 0;
    s.high = s.continuation ? 0xBF : 0;
    return true;
  }
  if (c == '"') {
    if (s.part == Part::free_key) {
      s.schema = nodes_[s.frames[s.depth - 1].schema].items;
      s.part = Part::colon;
    } else {
      end_value(s);
    }
    return true;
  }
  if (c == '\\') s.escape = backslash;
  if (c < 0x80) return c >= 0x20;
  // Without overlong forms, surrogates and what lies beyond the last plane.
  s.low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
  s.high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
  s.continuation = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
  return c >= 0xC2 && c <= 0xF4;
}

bool JsonGrammar::step_escape(JsonState& s, std::uint8_t c) const {
  const auto then = [&s](Escape next) {
    s.escape = next;
    return true;
  };
  const std::uint8_t lower = c | 0x20;
  switch (s.escape) {
    case backslash:
      if (c == 'u') return then(hex1);
      return then(none) &&
             std::string_view("\"\\/bfnrt").find(static_cast<char>(c)) != std::string_view::npos;
    case hex1:
      return is_hex(c) && then(lower == 'd' ? hex2_of_d : hex2);
    case hex2:
      return is_hex(c) && then(hex3);
    case hex3:
      return is_hex(c) && then(hex4);
    case hex4:
      return is_hex(c) && then(none);
    case hex2_of_d:
      if (c >= '0' && c <= '7') return then(hex3);
      return (c == '8' || c == '9' || lower == 'a' || lower == 'b') && then(high3);
    case high3:
      return is_hex(c) && then(high4);
    case high4:
      return is_hex(c) && then(low_backslash);
    case low_backslash:
      return c == '\\' && then(low_u);
    case low_u:
      return c == 'u' && then(low_d);
    case low_d:
      return lower == 'd' && then(low_hex2);
    case low_hex2:
      return lower >= 'c' && lower <= 'f' && then(hex3);
  }
  return false;
}

}  // namespace corvid::model
