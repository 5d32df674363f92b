#include "memory/prefix.h"

#include <algorithm>
#include <cstring>

namespace corvid::memory {

using model::Token;

int common_prefix(std::span<const Token> a, std::span<const Token> b) {
  constexpr std::size_t kBlock = 256;  // compared at once, many times as fast as token by token
  const std::size_t size = std::min(a.size(), b.size());
  std::size_t n = 0;
  while (n + kBlock <= size && std::memcmp(&a[n], &b[n], kBlock * sizeof(Token)) == 0) n += kBlock;
  while (n < size && a[n] == b[n]) ++n;
  return static_cast<int>(n);
}

bool PrefixSearch::offer(std::span<const Token> text) {
  const auto next = static_cast<std::size_t>(common_);
  if (text.size() <= next || prompt_.size() <= next || text[next] != prompt_[next]) return false;
  const int common = common_prefix(text, prompt_);
  if (common <= common_) return false;
  common_ = common;
  return true;
}

}  // namespace corvid::memory
