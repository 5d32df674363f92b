// JSON as text: printed the way Python's json.dumps prints it, without a tree in between.
//
// Key order, big integers and non-ASCII characters are kept; separators are ", " and ": ". Not
// recursive, so that no nesting overflows the stack. Free functions without state; any thread.
// ModelError when the text is not valid JSON, with the place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace corvid::model {

std::string print_json(std::string_view text);

// A member of an object: its name, and its value as print_json prints it.
struct JsonMember {
  std::string name;
  std::string value;
};
// ModelError also when `text` is not an object. A repeated name counts once, with its last value.
std::vector<JsonMember> json_members(std::string_view text);

bool is_json(std::string_view text);

// A string as JSON, quotes included; bytes that are no UTF-8 become U+FFFD.
std::string json_quote(std::string_view text);
// The text of a JSON string; `quoted` must be one.
std::string json_unquote(std::string_view quoted);

}  // namespace corvid::model
