#include "model/text/utf8.h"

#include <algorithm>

namespace corvid::model {
namespace {

struct Lead {
  int bytes = 1;
  char32_t bits = 0;
  char32_t least = 0;  // anything smaller is an overlong form
};

Lead lead_of(unsigned char byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {2, byte & 0x1Fu, 0x80};
  if (byte >= 0xE0 && byte <= 0xEF) return {3, byte & 0x0Fu, 0x800};
  if (byte >= 0xF0 && byte <= 0xF4) return {4, byte & 0x07u, 0x10000};
  return {};
}

bool is_scalar(char32_t value) {
  return value <= 0x10FFFF && !(value >= 0xD800 && value <= 0xDFFF);
}

}  // namespace

CodePoint code_point_at(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return {first, 1, true};
  const Lead lead = lead_of(first);
  const CodePoint invalid{first, 1, false};
  if (lead.bytes == 1 || text.size() - at < static_cast<std::size_t>(lead.bytes)) return invalid;
  char32_t value = lead.bits;
  for (int i = 1; i < lead.bytes; ++i) {
    const auto byte = static_cast<unsigned char>(text[at + i]);
    if ((byte & 0xC0) != 0x80) return invalid;
    value = value << 6 | (byte & 0x3F);
  }
  if (value < lead.least || !is_scalar(value)) return invalid;
  return {value, lead.bytes, true};
}

std::size_t unfinished_utf8(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const Lead lead = lead_of(byte);
    if (static_cast<std::size_t>(lead.bytes) <= back) return 0;
    // The second byte already tells overlong forms, surrogates and values beyond the last plane.
    if (back >= 2) {
      std::string whole(text.substr(text.size() - back));
      whole.resize(lead.bytes, '\x80');
      if (!code_point_at(whole, 0).valid) {
        whole = text.substr(text.size() - back);
        whole.resize(lead.bytes, '\xBF');
        if (!code_point_at(whole, 0).valid) return 0;
      }
    }
    return back;
  }
  return 0;
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (!point.valid) return false;
    at += point.bytes;
  }
  return true;
}

std::string clean_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (point.valid) {
      out += text.substr(at, point.bytes);
    } else {
      out += "\uFFFD";
    }
    at += point.bytes;
  }
  return out;
}

void append_utf8(std::string& out, char32_t c) {
  const auto tail = [&out](char32_t bits) { out += static_cast<char>(0x80 | (bits & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    tail(c);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    tail(c >> 6);
    tail(c);
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    tail(c >> 12);
    tail(c >> 6);
    tail(c);
  }
}

}  // namespace corvid::model
