#include "tools/glob.h"

#include <algorithm>

namespace corvid::tools {
namespace {

// One step of a pattern.
struct Step {
  enum class Kind { one, any_in_name, any, folders, set } kind;
  char c = 0;
  std::string_view set;  // inside of [...]
};

constexpr std::size_t kMostPatternBytes = 1024;

bool in_set(std::string_view set, char c) {
  if (c == '/') return false;
  const bool negated = !set.empty() && (set[0] == '!' || set[0] == '^');
  if (negated) set.remove_prefix(1);
  bool found = false;
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (i + 2 < set.size() && set[i + 1] == '-') {
      const auto low = static_cast<unsigned char>(set[i]);
      const auto high = static_cast<unsigned char>(set[i + 2]);
      found |= low <= static_cast<unsigned char>(c) && static_cast<unsigned char>(c) <= high;
      i += 2;
    } else {
      found |= set[i] == c;
    }
  }
  return found != negated;
}

std::vector<Step> steps_of(std::string_view pattern) {
  using Kind = Step::Kind;
  std::vector<Step> steps;
  pattern = pattern.substr(0, kMostPatternBytes);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const std::string_view rest = pattern.substr(i);
    const bool starts_name = i == 0 || pattern[i - 1] == '/';
    if (starts_name && rest.starts_with("**/")) {
      steps.push_back({Kind::folders});
      i += 2;
    } else if (rest.starts_with("**")) {
      steps.push_back({Kind::any});
      i += 1;
    } else if (c == '*') {
      steps.push_back({Kind::any_in_name});
    } else if (c == '?') {
      steps.push_back({Kind::set, 0, "!"});  // anything but a slash
    } else if (c == '[' && pattern.find(']', i + 2) != pattern.npos) {
      const std::size_t end = pattern.find(']', i + 2);
      steps.push_back({Kind::set, 0, pattern.substr(i + 1, end - i - 1)});
      i = end;
    } else {
      if (c == '\\' && i + 1 < pattern.size()) ++i;
      steps.push_back({Kind::one, pattern[i]});
    }
  }
  return steps;
}

// One step taken from every position that could be reached before it.
std::vector<char> advance(const Step& step, const std::vector<char>& reached,
                          std::string_view path) {
  using Kind = Step::Kind;
  const std::size_t size = path.size();
  std::vector<char> next(size + 1, 0);
  for (std::size_t at = 0; at <= size; ++at) {
    const bool carried = at > 0 && next[at - 1];
    switch (step.kind) {
      case Kind::one:
        next[at] = at > 0 && reached[at - 1] && path[at - 1] == step.c;
        break;
      case Kind::set:
        next[at] = at > 0 && reached[at - 1] && in_set(step.set, path[at - 1]);
        break;
      case Kind::any:
        next[at] = reached[at] || carried;
        break;
      case Kind::any_in_name:
        next[at] = reached[at] || (carried && path[at - 1] != '/');
        break;
      case Kind::folders:
        next[at] = reached[at];
        break;
    }
  }
  if (step.kind == Kind::folders) {  // from each start, to behind every later slash
    bool any = false;
    for (std::size_t at = 0; at <= size; ++at) {
      if (any && at > 0 && path[at - 1] == '/') next[at] = 1;
      any = any || reached[at];
    }
  }
  return next;
}

// "*.{h,cpp}" as its alternatives; a glob without braces is its own.
std::vector<std::string> alternatives(std::string_view glob) {
  constexpr std::size_t kMost = 64;
  const std::size_t open = glob.find('{');
  const std::size_t close = glob.find('}', open);
  if (open == glob.npos || close == glob.npos) return {std::string(glob)};
  std::vector<std::string> out;
  std::string_view inside = glob.substr(open + 1, close - open - 1);
  while (out.size() < kMost) {
    const std::size_t comma = std::min(inside.find(','), inside.size());
    std::string whole(glob.substr(0, open));
    whole.append(inside.substr(0, comma)).append(glob.substr(close + 1));
    for (std::string& further : alternatives(whole)) out.push_back(std::move(further));
    if (comma == inside.size()) break;
    inside.remove_prefix(comma + 1);
  }
  out.resize(std::min(out.size(), kMost));
  return out;
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view path) {
  std::vector<char> reached(path.size() + 1, 0);
  reached[0] = 1;
  for (const Step& step : steps_of(pattern)) reached = advance(step, reached, path);
  return reached.back() != 0;
}

bool path_fits(std::string_view glob, std::string_view path) {
  const bool any_folder = glob.find('/') == glob.npos;
  if (glob.starts_with("./")) glob.remove_prefix(2);
  const std::string_view subject = any_folder ? path.substr(path.rfind('/') + 1) : path;
  const std::vector<std::string> globs = alternatives(glob);
  return std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& one) { return glob_matches(one, subject); });
}

std::vector<IgnoreRules::Rule> IgnoreRules::parse(std::string_view lines, std::string_view folder) {
  std::vector<Rule> rules;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (line.ends_with(' ') && !line.ends_with("\\ ")) line.remove_suffix(1);
    if (line.empty() || line[0] == '#') continue;
    Rule rule;
    rule.folder = folder.empty() ? "" : std::string(folder) + "/";
    rule.negated = line[0] == '!';
    if (rule.negated) line.remove_prefix(1);
    rule.folders_only = line.ends_with('/');
    if (rule.folders_only) line.remove_suffix(1);
    rule.anywhere = line.find('/') == line.npos;
    if (line.starts_with('/')) line.remove_prefix(1);
    if (line.empty()) continue;
    rule.pattern = line;
    rules.push_back(std::move(rule));
  }
  return rules;
}

void IgnoreRules::add(std::string_view lines, std::string_view folder) {
  for (Rule& rule : parse(lines, folder)) rules_.push_back(std::move(rule));
}

bool IgnoreRules::ignores(std::string_view path, bool is_folder) const {
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    if (rule->folders_only && !is_folder) continue;
    if (!path.starts_with(rule->folder)) continue;
    std::string_view rest = path.substr(rule->folder.size());
    if (rule->anywhere) rest = rest.substr(rest.rfind('/') + 1);
    if (glob_matches(rule->pattern, rest)) return !rule->negated;
  }
  return false;
}

}  // namespace corvid::tools
