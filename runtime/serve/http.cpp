#include "runtime/serve/http.h"

namespace corvid::runtime {

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  const std::string* found = nullptr;
  for (const auto& [key, value] : headers) {
    if (key != name) continue;
    if (found) return std::nullopt;
    found = &value;
  }
  return found ? *found : std::string_view();
}

}  // namespace corvid::runtime
