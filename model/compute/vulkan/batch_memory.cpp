#include "model/compute/vulkan/batch_memory.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace corvid::model {
namespace {

constexpr VkDeviceSize kAlignment = 256;
constexpr std::size_t kPageStep = 64;  // pages are sent in multiples of it

VkDeviceSize round_up(VkDeviceSize n, VkDeviceSize to) {
  return (n + to - 1) / to * to;
}

}  // namespace

void BatchMemory::add_rope(std::span<const double> frequencies) {
  ropes_.emplace_back(frequencies.begin(), frequencies.end());
}

void BatchMemory::reserve(VkDeviceSize bytes) {
  if (host_memory_ && host_memory_->region().size >= bytes) return;
  commands_.forget();
  const VkDeviceSize size = round_up(bytes + bytes / 2, 1 << 16);
  host_memory_ = std::make_unique<Buffer>(device_, size, Memory::host, "batches");
  device_memory_ = std::make_unique<Buffer>(device_, size, Memory::device, "batches");
}

// In memory: rows; room for narrowed rows and their list; angles of every rope; pages.
void BatchMemory::begin(const Batch& batch, std::span<const Region> pages) {
  const VkDeviceSize n = batch.tokens.size();
  std::size_t n_pages = 0;
  for (const Sequence& sequence : batch.sequences) n_pages += sequence.pages.size();
  rows_at_ = 0;
  narrow_at_ = round_up(n * sizeof(Row), kAlignment);
  VkDeviceSize end = narrow_at_ + round_up(n * (sizeof(Row) + 4), kAlignment);
  angles_at_.clear();
  for (const std::vector<double>& rope : ropes_) {
    angles_at_.push_back(end);
    end += round_up(n * rope.size() * 2 * sizeof(float), kAlignment);
  }
  pages_at_ = end;
  end += round_up(n_pages, kPageStep) * sizeof(VkDeviceAddress);
  reserve(end);
  bytes_ = end;

  std::byte* const memory = host_memory_->region().mapped;
  auto* page = reinterpret_cast<VkDeviceAddress*>(memory + pages_at_);
  std::uint32_t first_page = 0;
  rows_.clear();
  for (const Sequence& sequence : batch.sequences) {
    for (int i = 0; i < sequence.n_rows; ++i) {
      const auto row = static_cast<std::uint32_t>(rows_.size());
      rows_.push_back({static_cast<std::uint32_t>(sequence.past_tokens + i), first_page,
                       static_cast<std::uint32_t>(batch.tokens[row]), row});
    }
    for (int id : sequence.pages) {
      page[first_page++] = id < static_cast<int>(pages.size()) ? pages[id].address : 0;
    }
  }
  std::memcpy(memory, rows_.data(), rows_.size() * sizeof(Row));
  write_angles(static_cast<int>(n));
  send(0, end);
}

void BatchMemory::write_angles(int n_rows) {
  for (std::size_t r = 0; r < ropes_.size(); ++r) {
    auto* out = reinterpret_cast<float*>(host_memory_->region().mapped + angles_at_[r]);
    for (int i = 0; i < n_rows; ++i) {
      for (double frequency : ropes_[r]) {
        const double angle = rows_[i].position * frequency;
        *out++ = static_cast<float>(std::cos(angle));
        *out++ = static_cast<float>(std::sin(angle));
      }
    }
  }
}

void BatchMemory::send(VkDeviceSize from, VkDeviceSize to) {
  commands_.copy(host_memory_->region().part(from, to - from),
                 device_memory_->region().part(from, to - from));
  commands_.barrier();
}

VkDeviceAddress BatchMemory::narrow(std::span<const int> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) rows_[i] = rows_[rows[i]];
  rows_.resize(rows.size());
  std::byte* const memory = host_memory_->region().mapped + narrow_at_;
  const std::size_t bytes = rows.size() * sizeof(Row);
  std::memcpy(memory, rows_.data(), bytes);
  std::memcpy(memory + bytes, rows.data(), rows.size_bytes());
  send(narrow_at_, narrow_at_ + bytes + rows.size_bytes());
  rows_at_ = narrow_at_;
  return device_memory_->region().address + narrow_at_ + bytes;
}

int BatchMemory::longest() const {
  int tokens = 0;
  for (const Row& row : rows_) tokens = std::max(tokens, static_cast<int>(row.position) + 1);
  return tokens;
}

}  // namespace corvid::model
