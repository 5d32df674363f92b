// Lua's patterns (Reference Manual 5.4, section 6.4.1) with a meter in the loop: a pattern can take
// time without end, and no hook runs inside a C function.
#include <array>
#include <cctype>
#include <cstring>
#include <optional>
#include <string_view>

#include "sandbox/lua_state.h"

namespace corvid::sandbox {
namespace {

constexpr int kMaxCaptures = 32;
constexpr int kMaxDepth = 180;
constexpr std::size_t kNone = std::string_view::npos;

std::string_view string_argument(lua_State* lua, int index) {
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(lua, index, &size);
  return {bytes, size};
}

bool in_class(unsigned char c, char name) {
  bool found = false;
  switch (std::tolower(static_cast<unsigned char>(name))) {
    case 'a':
      found = std::isalpha(c);
      break;
    case 'c':
      found = std::iscntrl(c);
      break;
    case 'd':
      found = std::isdigit(c);
      break;
    case 'g':
      found = std::isgraph(c);
      break;
    case 'l':
      found = std::islower(c);
      break;
    case 'p':
      found = std::ispunct(c);
      break;
    case 's':
      found = std::isspace(c);
      break;
    case 'u':
      found = std::isupper(c);
      break;
    case 'w':
      found = std::isalnum(c);
      break;
    case 'x':
      found = std::isxdigit(c);
      break;
    default:
      return name == static_cast<char>(c);
  }
  return found != (std::isupper(static_cast<unsigned char>(name)) != 0);
}

class Matcher {
 public:
  Matcher(lua_State* lua, std::string_view subject, std::string_view pattern)
      : lua_(lua), subject_(subject), pattern_(pattern) {}

  // Where a match that starts exactly at `start` ends.
  std::optional<std::size_t> match_at(std::size_t start) {
    count_ = 0;
    const std::size_t end = match(start, 0, 0);
    if (end == kNone) return std::nullopt;
    return end;
  }

  int captures() const { return count_; }

  // Pushes capture `i`; the whole match when the pattern has none.
  void push_capture(int i, std::size_t start, std::size_t end) const {
    if (i >= count_) {
      if (i != 0) luaL_error(lua_, "invalid capture index %%%d", i + 1);
      lua_pushlstring(lua_, subject_.data() + start, end - start);
      return;
    }
    const Capture& capture = captures_[i];
    if (capture.kind == Capture::position) {
      lua_pushinteger(lua_, static_cast<lua_Integer>(capture.start) + 1);
    } else if (capture.kind == Capture::open) {
      luaL_error(lua_, "unfinished capture");
    } else {
      lua_pushlstring(lua_, subject_.data() + capture.start, capture.end - capture.start);
    }
  }

  int push_captures(std::size_t start, std::size_t end, bool whole_if_none) const {
    const int n = count_ == 0 && whole_if_none ? 1 : count_;
    luaL_checkstack(lua_, n, "too many captures");
    for (int i = 0; i < n; ++i) push_capture(i, start, end);
    return n;
  }

 private:
  struct Capture {
    enum Kind { open, closed, position } kind = open;
    std::size_t start = 0, end = 0;
  };

  void step() {
    if (++steps_ < 1024) return;
    steps_ = 0;
    spend_steps(lua_, 1024);
  }

  // Behind the single-character item at `p`: x, ., %x or [set].
  std::size_t item_end(std::size_t p) const {
    const char c = pattern_[p++];
    if (c == '%') {
      if (p >= pattern_.size()) luaL_error(lua_, "malformed pattern (ends with '%%')");
      return p + 1;
    }
    if (c != '[') return p;
    if (p < pattern_.size() && pattern_[p] == '^') ++p;
    bool first = true;
    for (; p < pattern_.size(); first = false) {
      if (pattern_[p] == ']' && !first) return p + 1;
      p += pattern_[p] == '%' ? 2 : 1;
    }
    luaL_error(lua_, "malformed pattern (missing ']')");
    return p;
  }

  // `set` is what stands between the brackets.
  static bool in_set(unsigned char c, std::string_view set) {
    const bool negated = !set.empty() && set[0] == '^';
    if (negated) set.remove_prefix(1);
    for (std::size_t i = 0; i < set.size(); ++i) {
      if (set[i] == '%' && i + 1 < set.size()) {
        if (in_class(c, set[++i])) return !negated;
      } else if (i + 2 < set.size() && set[i + 1] == '-') {
        const auto low = static_cast<unsigned char>(set[i]);
        const auto high = static_cast<unsigned char>(set[i + 2]);
        if (low <= c && c <= high) return !negated;
        i += 2;
      } else if (static_cast<unsigned char>(set[i]) == c) {
        return !negated;
      }
    }
    return negated;
  }

  bool fits(std::size_t s, std::size_t p, std::size_t end) {
    step();
    if (s >= subject_.size()) return false;
    const auto c = static_cast<unsigned char>(subject_[s]);
    switch (pattern_[p]) {
      case '.':
        return true;
      case '%':
        return in_class(c, pattern_[p + 1]);
      case '[':
        return in_set(c, pattern_.substr(p + 1, end - p - 2));
      default:
        return static_cast<unsigned char>(pattern_[p]) == c;
    }
  }

  std::size_t match(std::size_t s, std::size_t p, int depth) {
    if (depth > kMaxDepth) luaL_error(lua_, "pattern too complex");
    while (p < pattern_.size()) {
      step();
      const char c = pattern_[p];
      const char next = p + 1 < pattern_.size() ? pattern_[p + 1] : '\0';
      if (c == '(') return open_capture(s, p, next == ')', depth);
      if (c == ')') return close_capture(s, p, depth);
      if (c == '$' && p + 1 == pattern_.size()) return s == subject_.size() ? s : kNone;
      if (c == '%' &&
          (next == 'b' || next == 'f' || std::isdigit(static_cast<unsigned char>(next)))) {
        if (next == 'b')
          s = balanced(s, p);
        else if (next == 'f')
          s = frontier(s, p);
        else
          s = back_reference(s, p);
        if (s == kNone) return kNone;
        continue;
      }
      const std::size_t end = item_end(p);
      switch (end < pattern_.size() ? pattern_[end] : '\0') {
        case '*':
          return longest(s, p, end, 0, depth);
        case '+':
          return longest(s, p, end, 1, depth);
        case '-':
          return shortest(s, p, end, depth);
        case '?':
          if (fits(s, p, end)) {
            const std::size_t found = match(s + 1, end + 1, depth + 1);
            if (found != kNone) return found;
          }
          p = end + 1;
          break;
        default:
          if (!fits(s, p, end)) return kNone;
          ++s;
          p = end;
      }
    }
    return s;
  }

  std::size_t longest(std::size_t s, std::size_t p, std::size_t end, std::size_t least, int depth) {
    std::size_t n = 0;
    while (fits(s + n, p, end)) ++n;
    for (; n + 1 > least; --n) {
      const std::size_t found = match(s + n, end + 1, depth + 1);
      if (found != kNone) return found;
      if (n == 0) break;
    }
    return kNone;
  }

  std::size_t shortest(std::size_t s, std::size_t p, std::size_t end, int depth) {
    while (true) {
      const std::size_t found = match(s, end + 1, depth + 1);
      if (found != kNone) return found;
      if (!fits(s, p, end)) return kNone;
      ++s;
    }
  }

  std::size_t open_capture(std::size_t s, std::size_t p, bool position, int depth) {
    if (count_ >= kMaxCaptures) luaL_error(lua_, "too many captures");
    captures_[count_++] = {position ? Capture::position : Capture::open, s, s};
    const std::size_t found = match(s, p + (position ? 2 : 1), depth + 1);
    if (found == kNone) --count_;
    return found;
  }

  std::size_t close_capture(std::size_t s, std::size_t p, int depth) {
    int i = count_ - 1;
    while (i >= 0 && captures_[i].kind != Capture::open) --i;
    if (i < 0) luaL_error(lua_, "invalid pattern capture");
    captures_[i].kind = Capture::closed;
    captures_[i].end = s;
    const std::size_t found = match(s, p + 1, depth + 1);
    if (found == kNone) captures_[i].kind = Capture::open;
    return found;
  }

  // %bxy; moves `p` behind it.
  std::size_t balanced(std::size_t s, std::size_t& p) {
    if (p + 3 >= pattern_.size())
      luaL_error(lua_, "malformed pattern (missing arguments to '%%b')");
    const char open = pattern_[p + 2], close = pattern_[p + 3];
    p += 4;
    if (s >= subject_.size() || subject_[s] != open) return kNone;
    for (int level = 1; ++s < subject_.size();) {
      step();
      if (subject_[s] == close) {
        if (--level == 0) return s + 1;
      } else if (subject_[s] == open) {
        ++level;
      }
    }
    return kNone;
  }

  // %f[set]: a place where the set begins. Both ends of the subject count as '\0'.
  std::size_t frontier(std::size_t s, std::size_t& p) {
    p += 2;
    if (p >= pattern_.size() || pattern_[p] != '[') {
      luaL_error(lua_, "missing '[' after '%%f' in pattern");
    }
    const std::size_t end = item_end(p);
    const std::string_view set = pattern_.substr(p + 1, end - p - 2);
    p = end;
    const unsigned char before = s == 0 ? 0 : static_cast<unsigned char>(subject_[s - 1]);
    const unsigned char here = s < subject_.size() ? static_cast<unsigned char>(subject_[s]) : 0;
    return !in_set(before, set) && in_set(here, set) ? s : kNone;
  }

  // %1 to %9: the same text again.
  std::size_t back_reference(std::size_t s, std::size_t& p) {
    const int i = pattern_[p + 1] - '1';
    p += 2;
    if (i < 0 || i >= count_ || captures_[i].kind != Capture::closed) {
      luaL_error(lua_, "invalid capture index %%%d", i + 1);
    }
    const std::string_view text =
        subject_.substr(captures_[i].start, captures_[i].end - captures_[i].start);
    spend_steps(lua_, static_cast<std::int64_t>(text.size() / 16));
    return subject_.substr(s).starts_with(text) ? s + text.size() : kNone;
  }

  lua_State* lua_;
  std::string_view subject_, pattern_;
  std::array<Capture, kMaxCaptures> captures_;
  int count_ = 0;
  int steps_ = 0;
};

// The optional third argument of find and match: from 0, npos when it lies behind the end.
std::size_t start_argument(lua_State* lua, int index, std::size_t size) {
  const lua_Integer at = luaL_optinteger(lua, index, 1);
  const auto signed_size = static_cast<lua_Integer>(size);
  if (at > signed_size + 1) return kNone;
  if (at > 0) return static_cast<std::size_t>(at - 1);
  if (at == 0 || at < -signed_size) return 0;
  return static_cast<std::size_t>(signed_size + at);
}

int find_plain(lua_State* lua, std::string_view subject, std::string_view wanted,
               std::size_t start) {
  spend_steps(lua, static_cast<std::int64_t>(subject.size() - start) / 16);
  const void* found =  // linear, unlike std::string_view::find
      memmem(subject.data() + start, subject.size() - start, wanted.data(), wanted.size());
  if (found == nullptr) return lua_pushnil(lua), 1;
  const auto at = static_cast<const char*>(found) - subject.data();
  lua_pushinteger(lua, at + 1);
  lua_pushinteger(lua, at + static_cast<lua_Integer>(wanted.size()));
  return 2;
}

int find_or_match(lua_State* lua, bool find) {
  const std::string_view subject = string_argument(lua, 1);
  std::string_view pattern = string_argument(lua, 2);
  const std::size_t start = start_argument(lua, 3, subject.size());
  if (start == kNone) return lua_pushnil(lua), 1;
  const bool plain = pattern.find_first_of("^$*+?.([%-") == kNone;
  if (find && (lua_toboolean(lua, 4) || plain)) return find_plain(lua, subject, pattern, start);
  const bool anchored = pattern.starts_with('^');
  if (anchored) pattern.remove_prefix(1);
  Matcher matcher(lua, subject, pattern);
  for (std::size_t at = start; at <= subject.size(); ++at) {
    if (const auto end = matcher.match_at(at)) {
      if (!find) return matcher.push_captures(at, *end, true);
      lua_pushinteger(lua, static_cast<lua_Integer>(at) + 1);
      lua_pushinteger(lua, static_cast<lua_Integer>(*end));
      return 2 + matcher.push_captures(at, *end, false);
    }
    if (anchored) break;
  }
  return lua_pushnil(lua), 1;
}

int find(lua_State* lua) {
  return find_or_match(lua, true);
}
int match(lua_State* lua) {
  return find_or_match(lua, false);
}

// Upvalues: subject, pattern, where to go on, where the last match ended (-1: none yet).
int next_match(lua_State* lua) {
  const std::string_view subject = string_argument(lua, lua_upvalueindex(1));
  Matcher matcher(lua, subject, string_argument(lua, lua_upvalueindex(2)));
  const auto last_end = lua_tointeger(lua, lua_upvalueindex(4));
  auto at = static_cast<std::size_t>(lua_tointeger(lua, lua_upvalueindex(3)));
  for (; at <= subject.size(); ++at) {
    const auto end = matcher.match_at(at);
    if (!end || static_cast<lua_Integer>(*end) == last_end) continue;
    lua_pushinteger(lua, static_cast<lua_Integer>(*end));
    lua_copy(lua, -1, lua_upvalueindex(3));
    lua_replace(lua, lua_upvalueindex(4));
    return matcher.push_captures(at, *end, true);
  }
  lua_pushinteger(lua, static_cast<lua_Integer>(subject.size()) + 1);
  lua_replace(lua, lua_upvalueindex(3));
  return 0;
}

int gmatch(lua_State* lua) {
  const std::size_t size = string_argument(lua, 1).size();
  string_argument(lua, 2);
  const std::size_t start = start_argument(lua, 3, size);
  lua_settop(lua, 2);
  lua_pushinteger(lua, static_cast<lua_Integer>(start == kNone ? size + 1 : start));
  lua_pushinteger(lua, -1);
  lua_pushcclosure(lua, guarded<next_match>, 4);
  return 1;
}

// Adds what stands for one match to the buffer. The replacement is argument 3.
void add_replacement(lua_State* lua, luaL_Buffer& out, const Matcher& matcher,
                     std::string_view subject, std::size_t start, std::size_t end) {
  const int type = lua_type(lua, 3);
  if (type == LUA_TNUMBER || type == LUA_TSTRING) {
    const std::string_view text = string_argument(lua, 3);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '%') {
        luaL_addchar(&out, text[i]);
        continue;
      }
      const char c = ++i < text.size() ? text[i] : '\0';
      if (c == '%')
        luaL_addchar(&out, '%');
      else if (c == '0')
        luaL_addlstring(&out, subject.data() + start, end - start);
      else if (c >= '1' && c <= '9') {
        matcher.push_capture(c - '1', start, end);
        luaL_tolstring(lua, -1, nullptr);
        lua_remove(lua, -2);
        luaL_addvalue(&out);
      } else {
        luaL_error(lua, "invalid use of '%%' in replacement string");
      }
    }
    return;
  }
  if (type == LUA_TFUNCTION) {
    lua_pushvalue(lua, 3);
    const int n = matcher.push_captures(start, end, true);
    lua_call(lua, n, 1);
  } else {
    matcher.push_capture(0, start, end);
    lua_gettable(lua, 3);
  }
  if (!lua_toboolean(lua, -1)) {
    lua_pop(lua, 1);
    luaL_addlstring(&out, subject.data() + start, end - start);
  } else if (!lua_isstring(lua, -1)) {
    luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
  } else {
    luaL_addvalue(&out);
  }
}

int gsub(lua_State* lua) {
  const std::string_view subject = string_argument(lua, 1);
  std::string_view pattern = string_argument(lua, 2);
  const int type = lua_type(lua, 3);
  luaL_argexpected(
      lua,
      type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
      "string/function/table");
  const lua_Integer most = luaL_optinteger(lua, 4, static_cast<lua_Integer>(subject.size()) + 1);
  const bool anchored = pattern.starts_with('^');
  if (anchored) pattern.remove_prefix(1);
  Matcher matcher(lua, subject, pattern);
  luaL_Buffer out;
  luaL_buffinit(lua, &out);
  std::size_t at = 0, last_end = kNone;
  lua_Integer count = 0;
  while (count < most) {
    spend_steps(lua, 1);
    const auto end = matcher.match_at(at);
    if (end && *end != last_end) {
      ++count;
      add_replacement(lua, out, matcher, subject, at, *end);
      at = last_end = *end;
    } else if (at < subject.size()) {
      luaL_addchar(&out, subject[at++]);
    } else {
      break;
    }
    if (anchored) break;
  }
  if (at < subject.size()) luaL_addlstring(&out, subject.data() + at, subject.size() - at);
  luaL_pushresult(&out);
  lua_pushinteger(lua, count);
  return 2;
}

}  // namespace

void open_patterns(lua_State* lua) {
  lua_getglobal(lua, "string");
  lua_pushcfunction(lua, guarded<find>);
  lua_setfield(lua, -2, "find");
  lua_pushcfunction(lua, guarded<match>);
  lua_setfield(lua, -2, "match");
  lua_pushcfunction(lua, guarded<gmatch>);
  lua_setfield(lua, -2, "gmatch");
  lua_pushcfunction(lua, guarded<gsub>);
  lua_setfield(lua, -2, "gsub");
  lua_pop(lua, 1);
}

}  // namespace corvid::sandbox
