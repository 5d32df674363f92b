#include "tools/edit_text.h"

#include <algorithm>
#include <map>
#include <optional>

#include "tools/lines.h"

namespace corvid::tools {
namespace {

constexpr std::string_view kBlanks = " \t\r\f\v";

std::string_view trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(kBlanks);
  if (first == line.npos) return {};
  return line.substr(first, line.find_last_not_of(kBlanks) + 1 - first);
}

std::string_view indentation(std::string_view line) {
  return line.substr(0, std::min(line.find_first_not_of(kBlanks), line.size()));
}

bool has_only_crlf(std::string_view text) {
  bool any = false;
  for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1)) {
    if (at == 0 || text[at - 1] != '\r') return false;
    any = true;
  }
  return any;
}

std::string with_line_ends(std::string_view text, std::string_view end) {
  std::string out;
  for (const Line& line : split_lines(text)) {
    out += line.text;
    if (!line.end.empty()) out += end;
  }
  return out;
}

// Where `old_text` stands in `text`, overlapping places included.
std::vector<std::size_t> occurrences(std::string_view text, std::string_view old_text) {
  std::vector<std::size_t> found;
  for (std::size_t at = text.find(old_text); at != text.npos; at = text.find(old_text, at + 1)) {
    found.push_back(at);
  }
  return found;
}

int line_number(std::string_view text, std::size_t at) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + at, '\n'));
}

// How the indentation of the old lines turns into that of the lines found.
class Reindent {
 public:
  // False when one old indentation stands for two found ones.
  bool learn(std::string_view from, std::string_view to) {
    return known_.try_emplace(std::string(from), to).first->second == to;
  }

  // Nothing when the pairs seen do not settle it.
  std::optional<std::string> apply(std::string_view from) const {
    if (const auto seen = known_.find(std::string(from)); seen != known_.end()) {
      return seen->second;
    }
    const std::optional<std::string> shifted = shift(from), scaled = scale(from);
    if (shifted && scaled && *shifted != *scaled) return std::nullopt;
    return shifted ? shifted : scaled;
  }

 private:
  // The same piece added to, or taken from, the front of every indentation.
  std::optional<std::string> shift(std::string_view from) const {
    std::optional<std::string> added, taken;
    for (const auto& [old, found] : known_) {
      if (found.ends_with(old)) {
        const std::string piece = found.substr(0, found.size() - old.size());
        if (taken || (added && *added != piece)) return std::nullopt;
        if (piece.empty()) continue;
        added = piece;
      } else if (old.ends_with(found)) {
        const std::string piece = old.substr(0, old.size() - found.size());
        if (added || (taken && *taken != piece)) return std::nullopt;
        taken = piece;
      } else {
        return std::nullopt;
      }
    }
    const bool unchanged = std::any_of(known_.begin(), known_.end(),
                                       [](const auto& pair) { return pair.first == pair.second; });
    if (unchanged && (added || taken)) return std::nullopt;
    if (taken) {
      if (!from.starts_with(*taken)) return std::nullopt;
      return std::string(from.substr(taken->size()));
    }
    return added.value_or("") + std::string(from);
  }

  // Another width or another character for each step of indentation: 4 spaces for a tab.
  std::optional<std::string> scale(std::string_view from) const {
    char old_char = 0, found_char = 0;
    std::size_t old_width = 0, found_width = 0;
    const auto uniform = [](std::string_view text, char& c) {
      if (text.empty()) return true;
      if (c == 0) c = text[0];
      return text.find_first_not_of(c) == text.npos;
    };
    for (const auto& [old, found] : known_) {
      if (!uniform(old, old_char) || !uniform(found, found_char)) return std::nullopt;
      if (old.empty() != found.empty()) return std::nullopt;
      if (old.empty()) continue;
      if (old_width == 0) old_width = old.size(), found_width = found.size();
      if (old.size() * found_width != found.size() * old_width) return std::nullopt;
    }
    if (old_width == 0 || !uniform(from, old_char)) return std::nullopt;
    if (from.size() * found_width % old_width != 0) return std::nullopt;
    return std::string(from.size() * found_width / old_width, found_char);
  }

  std::map<std::string, std::string> known_;
};

// Starts (0-based lines) of the runs of lines that equal `old` but for whitespace at their ends.
std::vector<int> tolerant_places(const std::vector<Line>& lines, const std::vector<Line>& old) {
  std::vector<int> places;
  for (std::size_t start = 0; start + old.size() <= lines.size(); ++start) {
    const bool same =
        std::equal(old.begin(), old.end(), lines.begin() + start,
                   [](const Line& a, const Line& b) { return trimmed(a.text) == trimmed(b.text); });
    if (same) places.push_back(static_cast<int>(start));
  }
  return places;
}

// The new lines with the indentation and the line ends of the place; nothing when in doubt.
std::optional<std::string> adapted(std::string_view new_text, const std::vector<Line>& old,
                                   const Line* place) {
  Reindent reindent;
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (trimmed(old[i].text).empty()) continue;
    if (!reindent.learn(indentation(old[i].text), indentation(place[i].text))) return std::nullopt;
  }
  const std::string_view last_end = place[old.size() - 1].end;
  const std::string_view line_end = place[0].end.empty() ? "\n" : place[0].end;
  std::string out;
  const std::vector<Line> fresh = split_lines(new_text);
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    const std::string_view body = trimmed(fresh[i].text);
    if (!body.empty()) {
      const auto indent = reindent.apply(indentation(fresh[i].text));
      if (!indent) return std::nullopt;
      out += *indent;
      out += fresh[i].text.substr(indentation(fresh[i].text).size());
    }
    out += i + 1 < fresh.size() ? line_end : last_end;
  }
  // Nothing in place of whole lines takes the lines away; in place of text it leaves a line.
  if (fresh.empty() && old.back().end.empty()) out += last_end;
  return out;
}

// The blanks between the start of the line and `at`; nothing when other things stand there too.
std::string_view blanks_before(std::string_view text, std::size_t at) {
  const std::size_t line = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
  const std::string_view before = text.substr(line, at - line);
  return indentation(before) == before ? before : std::string_view();
}

enum class Reading { literal, whole_lines, doubtful };

// An exact text that starts inside an indentation may be lines whose indentation was lost. It is
// taken literally when its further lines, or those of the new text, show that it was not.
Reading reading_of(std::string_view blanks, std::string_view old_text, std::string_view new_text) {
  const std::vector<Line> old = split_lines(old_text), fresh = split_lines(new_text);
  if (blanks.empty() || (old.size() <= 1 && fresh.size() <= 1)) return Reading::literal;
  if (kBlanks.find(old_text[0]) != kBlanks.npos) return Reading::whole_lines;
  const auto has_words = [](const Line& line) { return !trimmed(line.text).empty(); };
  if (std::any_of(old.begin() + 1, old.end(), has_words)) return Reading::literal;
  for (std::size_t i = 1; i < fresh.size(); ++i) {
    if (has_words(fresh[i]) && !fresh[i].text.starts_with(blanks)) return Reading::doubtful;
  }
  return Reading::literal;
}

Replacement replace_tolerantly(std::string_view text, std::string_view old_text,
                               std::string_view new_text) {
  Replacement result;
  const std::vector<Line> lines = split_lines(text), old = split_lines(old_text);
  const bool has_words = std::any_of(old.begin(), old.end(),
                                     [](const Line& line) { return !trimmed(line.text).empty(); });
  if (!has_words) return result;
  const std::vector<int> places = tolerant_places(lines, old);
  for (int place : places) result.lines.push_back(place + 1);
  if (places.size() != 1) return result;
  const Line* place = &lines[places[0]];
  const auto replacement = adapted(new_text, old, place);
  if (!replacement) {
    result.kind = Replacement::Kind::doubtful;
    return result;
  }
  const std::string_view range =
      line_range(text, lines, places[0] + 1, places[0] + static_cast<int>(old.size()));
  const std::size_t at = range.data() - text.data();
  result.kind = Replacement::Kind::tolerant;
  result.text.append(text.substr(0, at))
      .append(*replacement)
      .append(text.substr(at + range.size()));
  return result;
}

}  // namespace

Replacement replace_text(std::string_view text, std::string_view old_text,
                         std::string_view new_text, ReplaceOptions options) {
  Replacement result;
  if (old_text.empty()) return result;
  const bool crlf = has_only_crlf(text);
  const std::string old_crlf = crlf ? with_line_ends(old_text, "\r\n") : "";
  const std::string new_crlf = crlf ? with_line_ends(new_text, "\r\n") : "";
  const std::string_view wanted = crlf ? std::string_view(old_crlf) : old_text;
  const std::string_view fresh = crlf ? std::string_view(new_crlf) : new_text;
  const std::vector<std::size_t> found = occurrences(text, wanted);
  if (found.empty()) return replace_tolerantly(text, old_text, new_text);
  for (std::size_t at : found) result.lines.push_back(line_number(text, at));
  if (found.size() > 1 && !options.all) {
    result.kind = Replacement::Kind::ambiguous;
    return result;
  }
  const std::string_view blanks = blanks_before(text, found[0]);
  const Reading reading = reading_of(blanks, wanted, fresh);
  if (reading == Reading::whole_lines) return replace_tolerantly(text, old_text, new_text);
  if (reading == Reading::doubtful) {
    result.kind = Replacement::Kind::doubtful;
    return result;
  }
  result.kind = Replacement::Kind::exact;
  std::size_t done = 0;
  for (std::size_t at : found) {
    if (at < done) continue;  // overlaps the one before
    result.text.append(text.substr(done, at - done)).append(fresh);
    done = at + wanted.size();
  }
  result.text.append(text.substr(done));
  return result;
}

std::string replace_lines(std::string_view text, int first, int last, std::string_view new_text) {
  const std::vector<Line> lines = split_lines(text);
  const std::string_view range = line_range(text, lines, first, last);
  const std::size_t at = range.data() - text.data();
  const std::string_view first_end = lines[first - 1].end;
  std::string fresh = with_line_ends(new_text, first_end.empty() ? "\n" : first_end);
  if (!fresh.empty() && !fresh.ends_with('\n')) fresh += lines[last - 1].end;
  std::string out(text.substr(0, at));
  return out.append(fresh).append(text.substr(at + range.size()));
}

}  // namespace corvid::tools
