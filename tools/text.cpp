#include "tools/text.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "model/text/utf8.h"

namespace corvid::tools {
namespace {

void append_hex(std::string& out, char c) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const auto byte = static_cast<std::uint8_t>(c);
  out += "\\x";
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool looks_escaped(std::string_view bytes) {
  return bytes.size() >= 4 && bytes[0] == '\\' && bytes[1] == 'x' && is_hex(bytes[2]) &&
         is_hex(bytes[3]);
}

bool continues_character(char c) {
  return (static_cast<std::uint8_t>(c) & 0xC0) == 0x80;
}

}  // namespace

std::string escape_invalid(std::string_view bytes) {
  if (model::is_utf8(bytes)) return std::string(bytes);
  std::string out;
  out.reserve(bytes.size() * 2);
  for (std::size_t at = 0; at < bytes.size();) {
    const model::CodePoint point = model::code_point_at(bytes, at);
    if (!point.valid || looks_escaped(bytes.substr(at)))
      append_hex(out, bytes[at]);
    else
      out += bytes.substr(at, point.bytes);
    at += point.bytes;
  }
  return out;
}

std::string visible_name(std::string_view name) {
  std::string out;
  for (char c : escape_invalid(name)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      append_hex(out, c);
    else
      out += c;
  }
  return out;
}

std::string name_of_visible(std::string_view shown) {
  std::string out;
  for (std::size_t at = 0; at < shown.size();) {
    unsigned byte = 0;
    const std::string_view rest = shown.substr(at);
    if (looks_escaped(rest)) std::from_chars(rest.data() + 2, rest.data() + 4, byte, 16);
    if (byte != 0 && byte != '/') {  // no name has these
      out += static_cast<char>(byte);
      at += 4;
    } else {
      out += shown[at++];
    }
  }
  return out;
}

std::string Utf8Stream::push(std::string_view bytes) {
  std::string joined = std::move(rest_);
  joined += bytes;
  rest_ = joined.substr(joined.size() - model::unfinished_utf8(joined));
  joined.resize(joined.size() - rest_.size());
  std::string out;
  for (std::size_t at = 0; at < joined.size();) {
    const model::CodePoint point = model::code_point_at(joined, at);
    if (point.valid)
      out.append(joined, at, point.bytes);
    else
      append_hex(out, joined[at]);
    at += point.bytes;
  }
  return out;
}

std::string Utf8Stream::finish() {
  std::string out;
  for (char c : rest_) append_hex(out, c);
  rest_.clear();
  return out;
}

std::string_view utf8_prefix(std::string_view text, std::size_t bytes) {
  if (bytes >= text.size()) return text;
  while (bytes > 0 && continues_character(text[bytes])) --bytes;
  return text.substr(0, bytes);
}

std::string_view utf8_suffix(std::string_view text, std::size_t bytes) {
  if (bytes >= text.size()) return text;
  std::size_t at = text.size() - bytes;
  while (at < text.size() && continues_character(text[at])) ++at;
  return text.substr(at);
}

std::string cut_middle(std::string_view text, std::size_t budget_bytes, std::string_view hint) {
  if (text.size() <= budget_bytes) return std::string(text);
  const std::size_t marker_bytes = 64 + hint.size();
  const std::size_t room = budget_bytes > marker_bytes ? budget_bytes - marker_bytes : 0;
  std::string_view head = utf8_prefix(text, room / 2);
  std::string_view tail = utf8_suffix(text, room - room / 2);
  // A line end within the last or first quarter makes a clean cut.
  const std::size_t head_end = head.rfind('\n');
  if (head_end != head.npos && head_end + 1 >= head.size() - head.size() / 4) {
    head = head.substr(0, head_end + 1);
  }
  const std::size_t tail_start = tail.find('\n');
  if (tail_start != tail.npos && tail_start < tail.size() / 4) tail.remove_prefix(tail_start + 1);
  std::string out(head);
  if (!out.empty() && out.back() != '\n') out += '\n';
  out += "[... " + std::to_string(text.size() - head.size() - tail.size()) + " bytes left out";
  if (!hint.empty()) out.append("; ").append(hint);
  out += " ...]\n";
  out += tail;
  return out;
}

}  // namespace corvid::tools
