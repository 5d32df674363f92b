#include "runtime/shortening.h"

#include <string>

namespace corvid::runtime {
namespace {

constexpr std::size_t kHeadBytes = 240, kTailBytes = 120;
constexpr std::size_t kWorthBytes = 600;   // shorter results are left alone
constexpr std::size_t kBytesPerToken = 3;  // a cautious guess; the caller measures again

bool inside_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

// The head and the tail of `text` around a line that says what is gone.
std::string shortened(const std::string& text) {
  std::size_t head = kHeadBytes, tail = text.size() - kTailBytes;
  while (head > 0 && inside_character(text[head])) --head;
  while (tail < text.size() && inside_character(text[tail])) ++tail;
  return text.substr(0, head) + "\n[" + std::to_string(tail - head) +
         " bytes removed to make room]\n" + text.substr(tail);
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
