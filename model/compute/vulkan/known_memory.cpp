#include "model/compute/vulkan/known_memory.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace corvid::model {
namespace {

constexpr VkDeviceSize kLeastBytes = 1 << 16;

}  // namespace

void KnownMemory::reserve(VkDeviceSize bytes) {
  if (bytes <= known_.size()) return;
  commands_.forget();
  bytes = std::max((bytes + bytes / 2) / 4 * 4, kLeastBytes);
  here_ = std::make_unique<Buffer>(device_, bytes, Memory::host, purpose_);
  on_device_ = std::make_unique<Buffer>(device_, bytes, Memory::device, purpose_);
  known_.assign(bytes, std::byte{0});
  unknown_from_ = unknown_to_ = 0;
  std::memcpy(here_->region().mapped, known_.data(), bytes);
  commands_.copy(here_->region().part(0, bytes), on_device_->region().part(0, bytes));
  commands_.finish();  // what is sent next goes the same way
}

bool KnownMemory::holds(VkDeviceSize at, std::span<const std::byte> bytes) const {
  assert(at + bytes.size() <= known_.size());
  const bool unknown = at < unknown_to_ && unknown_from_ < at + bytes.size();
  return !unknown && std::memcmp(known_.data() + at, bytes.data(), bytes.size()) == 0;
}

void KnownMemory::send(VkDeviceSize at, std::span<const std::byte> bytes) {
  learn(at, bytes);
  const Region from = here_->region().part(at, bytes.size());
  std::memcpy(from.mapped, bytes.data(), bytes.size());
  commands_.copy(from, on_device_->region().part(at, bytes.size()));
}

void KnownMemory::expect_change(VkDeviceSize at, VkDeviceSize n) {
  assert(at + n <= known_.size());
  const bool none = unknown_from_ == unknown_to_;
  unknown_from_ = none ? at : std::min(at, unknown_from_);
  unknown_to_ = none ? at + n : std::max(at + n, unknown_to_);
}

// A part in the middle of what is unknown leaves all of it so, which costs but a copy.
void KnownMemory::learn(VkDeviceSize at, std::span<const std::byte> bytes) {
  const VkDeviceSize end = at + bytes.size();
  assert(end <= known_.size());
  std::memcpy(known_.data() + at, bytes.data(), bytes.size());
  if (at <= unknown_from_) unknown_from_ = std::clamp(end, unknown_from_, unknown_to_);
  if (end >= unknown_to_) unknown_to_ = std::clamp(at, unknown_from_, unknown_to_);
}

}  // namespace corvid::model
