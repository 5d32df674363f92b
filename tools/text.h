// Bytes to text, at the tool boundary: the one place where what files and processes say becomes
// valid UTF-8 of a bounded size. Control and escape characters pass; the sinks deal with them.
// Pure functions; any thread; nothing here throws.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace corvid::tools {

// Valid UTF-8 comes back unchanged. Otherwise each byte outside a valid sequence becomes \xHH, and
// a backslash that stands before xHH already becomes \x5c, so that the bytes can be recovered.
std::string escape_invalid(std::string_view bytes);

// A file name on one line: control characters are escaped too.
std::string visible_name(std::string_view name);

// The name that visible_name shows so, where it has escapes: \xHH becomes that byte.
std::string name_of_visible(std::string_view shown);

// escape_invalid for bytes that come in pieces. A sequence split between two pieces stays whole; as
// nobody knows what comes later, a backslash is never escaped here: this is for people's eyes.
class Utf8Stream {
 public:
  std::string push(std::string_view bytes);
  std::string finish();

 private:
  std::string rest_;  // the start of a sequence, up to three bytes
};

// The start and the end of a text too long for the budget, with a line between them that says how
// much was left out and then `hint`. Cuts at line ends where one is near, never inside a character.
std::string cut_middle(std::string_view text, std::size_t budget_bytes, std::string_view hint = {});

// The first `bytes` of the text at most, not ending inside a character.
std::string_view utf8_prefix(std::string_view text, std::size_t bytes);
// The last `bytes` of the text at most, not starting inside a character.
std::string_view utf8_suffix(std::string_view text, std::size_t bytes);

}  // namespace corvid::tools
