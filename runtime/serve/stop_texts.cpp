#include "runtime/serve/stop_texts.h"

#include <algorithm>
#include <utility>

namespace corvid::runtime {

std::string StopTexts::feed(std::string_view content) {
  if (!found_.empty()) return {};
  pending_ += content;
  // The one that is complete first, as if the content had come byte by byte.
  std::size_t begin = pending_.size(), end = pending_.size() + 1;
  for (const std::string& text : texts_) {
    const std::size_t at = pending_.find(text);
    if (at == pending_.npos || std::pair(at + text.size(), at) >= std::pair(end, begin)) continue;
    begin = at;
    end = at + text.size();
    found_ = text;
  }
  if (found_.empty()) begin -= held_back();
  std::string shown = pending_.substr(0, begin);
  pending_.erase(0, begin);
  return shown;
}

std::string StopTexts::rest() {
  return found_.empty() ? std::exchange(pending_, {}) : std::string();
}

// The longest end of what is pending that a stop text begins with.
std::size_t StopTexts::held_back() const {
  std::size_t most = 0;
  for (const std::string& text : texts_) {
    for (std::size_t n = std::min(text.size() - 1, pending_.size()); n > most; --n) {
      if (pending_.ends_with(std::string_view(text).substr(0, n))) most = n;
    }
  }
  return most;
}

}  // namespace corvid::runtime
