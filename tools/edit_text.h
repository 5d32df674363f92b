// Replacing a piece of text: exactly, or else tolerantly, and never by a guess.
//
// First the exact text, which must occur once. Then a run of whole lines that differ from the old
// ones in indentation, trailing spaces or line ends only, which must be unique too; the new lines
// get the indentation of the place. Where the indentation cannot be told for certain nothing is
// replaced: several new lines for a text that starts behind an indentation must carry it too.
// Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace corvid::tools {

struct Replacement {
  enum class Kind {
    exact,      // replaced where it stood
    tolerant,   // replaced where only whitespace differed: say so
    missing,    // not there
    ambiguous,  // there several times
    doubtful,   // there, but what indentation the new lines should have cannot be told
  };
  Kind kind = Kind::missing;
  std::string text;        // the whole new text, when replaced
  std::vector<int> lines;  // 1-based: where it was found, or would be if whitespace is ignored
};

struct ReplaceOptions {
  bool all = false;  // every exact occurrence; otherwise there must be one only
};

Replacement replace_text(std::string_view text, std::string_view old_text,
                         std::string_view new_text, ReplaceOptions options = {});

// Lines first..last give way to new_text, which ends as the replaced lines ended.
std::string replace_lines(std::string_view text, int first, int last, std::string_view new_text);

// The lines that look most like `old_text`, numbered; empty when nothing does.
std::string closest_region(std::string_view text, std::string_view old_text);

}  // namespace corvid::tools
