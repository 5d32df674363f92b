#include "plugins/secret.h"

namespace corvid::plugins {

std::string Secret::redacted(std::string text) const {
  if (value_.empty()) return text;
  for (std::size_t at = 0; (at = text.find(value_, at)) != std::string::npos;) {
    text.replace(at, value_.size(), "[key]");
    at += 5;
  }
  return text;
}

}  // namespace corvid::plugins
