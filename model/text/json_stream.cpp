#include "model/text/json_stream.h"

#include <algorithm>

#include "model/error.h"
#include "model/text/json_text.h"
#include "model/text/utf8.h"

namespace corvid::model {
namespace {

constexpr std::string_view kWhiteSpace = " \t\r\n";
constexpr std::string_view kScalarEnds = " \t\r\n,:[]{}\"";

// The length of the escape at the start of `text`; 0: it is not all there. The two halves of a
// surrogate pair belong together.
std::size_t escape_length(std::string_view text) {
  if (text.size() < 2) return 0;
  if (text[1] != 'u') return 2;
  if (text.size() < 4) return 0;
  const bool first_half =
      (text[2] == 'd' || text[2] == 'D') && std::string_view("89abAB").find(text[3]) != text.npos;
  const std::size_t length = first_half ? 12 : 6;
  return text.size() < length ? 0 : length;
}

}  // namespace

std::size_t whole_characters(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && text[at] != '"') {
    const std::size_t length = text[at] == '\\' ? escape_length(text.substr(at)) : 1;
    if (length == 0) return at;
    at += length;
  }
  if (at < text.size()) return at;
  return text.size() - unfinished_utf8(text);
}

std::string JsonStream::feed(std::string_view bytes) {
  std::string out;
  if (broken_) return out;
  held_ += bytes;
  std::string_view rest = held_;
  while (!rest.empty() && (in_string_ ? step_in_string(rest, out) : step_between(rest, out))) {
  }
  held_.erase(0, held_.size() - rest.size());
  return out;
}

std::string JsonStream::end() {
  std::string out;
  if (!broken_ && !in_string_ && !held_.empty()) print_scalar(held_, out);
  held_.clear();
  return out;
}

bool JsonStream::step_in_string(std::string_view& rest, std::string& out) {
  const std::size_t size = whole_characters(rest);
  const bool ends = size < rest.size() && rest[size] == '"';
  if (size == 0 && !ends) return false;
  try {
    const std::string printed =
        json_quote(json_unquote("\"" + std::string(rest.substr(0, size)) + "\""));
    out.append(printed, 1, printed.size() - 2);
  } catch (const ModelError&) {
    return give_up();
  }
  if (ends) out += '"';
  in_string_ = !ends;
  rest.remove_prefix(size + ends);
  return true;
}

bool JsonStream::step_between(std::string_view& rest, std::string& out) {
  const char c = rest[0];
  const std::size_t size = std::min(rest.find_first_of(kScalarEnds, scanned_), rest.size());
  if (size > 0) {
    scanned_ = size == rest.size() ? size : 0;
    if (scanned_ > 0 || !print_scalar(rest.substr(0, size), out)) return false;
    rest.remove_prefix(size);
    return true;
  }
  rest.remove_prefix(1);
  if (kWhiteSpace.find(c) != kWhiteSpace.npos) return true;
  out += c;
  if (c == ',' || c == ':') out += ' ';
  in_string_ = c == '"';
  return true;
}

bool JsonStream::print_scalar(std::string_view scalar, std::string& out) {
  try {
    out += print_json(scalar);
  } catch (const ModelError&) {
    return give_up();
  }
  return true;
}

bool JsonStream::give_up() {
  broken_ = true;
  return false;
}

}  // namespace corvid::model
