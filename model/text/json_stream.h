// print_json() for JSON that comes in pieces of any size.
//
// What has been printed is always the beginning of what print_json() makes of the whole. Text that
// turns out to be no JSON is printed up to some point before that shows; whether it is JSON is for
// others to say. One thread at a time; nothing throws.
#pragma once

#include <string>
#include <string_view>

namespace corvid::model {

class JsonStream {
 public:
  // What can be printed now: a number, a name or an escape waits for its last byte.
  std::string feed(std::string_view bytes);
  // There is no more.
  std::string end();

 private:
  bool step_in_string(std::string_view& rest, std::string& out);
  bool step_between(std::string_view& rest, std::string& out);
  bool print_scalar(std::string_view scalar, std::string& out);
  bool give_up();

  std::string held_;         // not printed yet
  std::size_t scanned_ = 0;  // of it: a number or a name whose end has not come
  bool in_string_ = false;
  bool broken_ = false;  // this is no JSON: nothing more is printed
};

// How much of a JSON string's inside is surely made of whole characters and escapes, up to its
// closing quote.
std::size_t whole_characters(std::string_view text);

}  // namespace corvid::model
