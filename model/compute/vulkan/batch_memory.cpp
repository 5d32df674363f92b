#include "model/compute/vulkan/batch_memory.h"

#include <algorithm>
#include <cassert>

namespace corvid::model {
namespace {

constexpr VkDeviceSize kAlignment = 256;
// Of each sequence's list of pages: the lists behind it stay where they are while it grows.
constexpr std::size_t kPageStep = 64;

VkDeviceSize round_up(VkDeviceSize n, VkDeviceSize to) {
  return (n + to - 1) / to * to;
}

}  // namespace

// In memory: rows; room for narrowed rows and their list; pages.
void BatchMemory::begin(const Batch& batch, std::span<const Region> pages) {
  const VkDeviceSize n = batch.tokens.size();
  rows_at_ = 0;
  narrow_at_ = round_up(n * sizeof(Row), kAlignment);
  pages_at_ = narrow_at_ + round_up(n * (sizeof(Row) + sizeof(int)), kAlignment);
  rows_.clear();
  std::uint32_t n_pages = 0;
  for (const Sequence& sequence : batch.sequences) {
    for (int i = 0; i < sequence.n_rows; ++i) {
      const auto token = static_cast<std::uint32_t>(batch.tokens[rows_.size()]);
      rows_.push_back({static_cast<std::uint32_t>(sequence.past_tokens + i), n_pages, token, 0});
    }
    n_pages += static_cast<std::uint32_t>(round_up(sequence.pages.size(), kPageStep));
  }
  memory_.reserve(pages_at_ + n_pages * sizeof(VkDeviceAddress));
  memory_.update(rows_at_, std::as_bytes(std::span(rows_)));
  std::uint32_t first = 0;
  for (const Sequence& sequence : batch.sequences) {
    update_pages(sequence, first, pages);
    first += static_cast<std::uint32_t>(round_up(sequence.pages.size(), kPageStep));
  }
  commands_.submit();  // apart, so that what follows is an earlier recording
}

// Sends the part from the first to the last page that is another one.
void BatchMemory::update_pages(const Sequence& sequence, std::uint32_t first,
                               std::span<const Region> pages) {
  addresses_.clear();
  for (int id : sequence.pages) {
    addresses_.push_back(id < static_cast<int>(pages.size()) ? pages[id].address : 0);
  }
  const VkDeviceSize at = pages_at_ + first * sizeof(VkDeviceAddress);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(addresses_));
  if (memory_.holds(at, bytes)) return;
  const auto is_known = [&](std::size_t from) {
    return memory_.holds(at + from, bytes.subspan(from, sizeof(VkDeviceAddress)));
  };
  std::size_t begin = 0, end = bytes.size();
  while (is_known(begin)) begin += sizeof(VkDeviceAddress);
  while (is_known(end - sizeof(VkDeviceAddress))) end -= sizeof(VkDeviceAddress);
  memory_.send(at + begin, bytes.subspan(begin, end - begin));
}

VkDeviceAddress BatchMemory::narrow(std::span<const int> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) rows_[i] = rows_[rows[i]];
  rows_.resize(rows.size());
  rows_at_ = narrow_at_;
  memory_.update(rows_at_, std::as_bytes(std::span(rows_)));
  memory_.update(place_of(rows_.size()), std::as_bytes(rows));
  commands_.barrier();
  return rows_address(rows_.size());
}

int BatchMemory::longest() const {
  int tokens = 0;
  for (const Row& row : rows_) tokens = std::max(tokens, static_cast<int>(row.position) + 1);
  return tokens;
}

void BatchMemory::expect_draws(int first, int n) {
  assert(first + n <= rows());
  memory_.expect_change(place_of(first), n * sizeof(Row));
}

void BatchMemory::learn_draws(int first, std::span<const Token> tokens) {
  const auto drawn = std::span(rows_).subspan(first, tokens.size());
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    drawn[i].token = static_cast<std::uint32_t>(tokens[i]);
    ++drawn[i].position;
  }
  memory_.learn(place_of(first), std::as_bytes(drawn));
}

}  // namespace corvid::model
