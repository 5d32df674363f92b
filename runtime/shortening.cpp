#include "runtime/shortening.h"

#include <algorithm>
#include <string>

#include "tools/text.h"

namespace corvid::runtime {
namespace {

constexpr std::size_t kHeadBytes = 240, kTailBytes = 120;
constexpr std::size_t kWorthBytes = 600;   // shorter results are left alone
constexpr std::size_t kBytesPerToken = 3;  // a cautious guess; the caller measures again

// The head and the tail of `text` around a line that says what is gone.
std::string shortened(const std::string& text) {
  const std::string_view head = tools::utf8_prefix(text, kHeadBytes);
  const std::string_view tail = tools::utf8_suffix(text, kTailBytes);
  const std::size_t removed = text.size() - head.size() - tail.size();
  return std::string(head) + "\n[" + std::to_string(removed) + " bytes removed to make room]\n" +
         std::string(tail);
}

}  // namespace

int shorten_oldest_results(std::vector<Entry>& history, int tokens) {
  std::size_t wanted = static_cast<std::size_t>(tokens) * kBytesPerToken;
  int cut = 0;
  for (Entry& entry : history) {
    auto* results = std::get_if<Results>(&entry);
    if (!results) continue;
    for (model::ToolResult& result : results->results) {
      if (wanted == 0) return cut;
      if (result.text.size() < kWorthBytes) continue;
      std::string text = shortened(result.text);
      wanted -= std::min(wanted, result.text.size() - text.size());
      result.text = std::move(text);
      ++cut;
    }
  }
  return cut;
}

}  // namespace corvid::runtime
