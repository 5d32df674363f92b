#include "model/compute/vulkan/draw_memory.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace corvid::model {
namespace {

struct DeviceDraw {  // as in draw.comp
  VkDeviceAddress allowed;
  std::uint32_t n_tokens, masked;
  float inverse_temperature, top_p, least, random;
};
static_assert(sizeof(DeviceDraw) == 32);

// What weighs less than e^-30 of the best is never drawn; see draw.cpp.
constexpr double kLeastLogarithm = -30;

}  // namespace

void DrawMemory::reserve(std::size_t n, VkDeviceSize mask_bytes) {
  if (n <= rows_ && mask_bytes <= mask_bytes_) return;
  commands_.forget();
  rows_ = std::max(n, rows_);
  mask_bytes_ = std::max(mask_bytes, mask_bytes_);
  tokens_at_ = rows_ * sizeof(DeviceDraw);
  host_ =
      std::make_unique<Buffer>(device_, tokens_at_ + rows_ * sizeof(Token), Memory::host, "draws");
  host_masks_ = std::make_unique<Buffer>(device_, rows_ * mask_bytes_, Memory::host, "masks");
  masks_ = std::make_unique<Buffer>(device_, rows_ * mask_bytes_, Memory::device, "masks");
  std::memset(host_masks_->region().mapped, 0, rows_ * mask_bytes_);
  commands_.copy(host_masks_->region(), masks_->region());
  commands_.barrier();  // parts of it may be copied again at once
}

// What the device has of the row's mask is what lies in the mapped memory.
VkDeviceAddress DrawMemory::send_mask(std::size_t row, std::span<const std::uint64_t> mask) {
  const Region here = host_masks_->region().part(row * mask_bytes_, mask.size_bytes());
  const Region there = masks_->region().part(row * mask_bytes_, mask.size_bytes());
  if (std::memcmp(here.mapped, mask.data(), mask.size_bytes()) != 0) {
    std::memcpy(here.mapped, mask.data(), mask.size_bytes());
    commands_.copy(here, there);
    bytes_ += mask.size_bytes();
  }
  return there.address;
}

void DrawMemory::begin(std::span<const Draw> draws, int vocab) {
  const VkDeviceSize mask_bytes = (static_cast<VkDeviceSize>(vocab) + 63) / 64 * 8;
  reserve(draws.size(), mask_bytes);
  n_ = draws.size();
  bytes_ = n_ * (sizeof(DeviceDraw) + sizeof(Token));
  for (std::size_t i = 0; i < n_; ++i) {
    const Draw& draw = draws[i];
    const bool masked = !draw.allowed.empty();
    const DeviceDraw made{
        .allowed = masked ? send_mask(i, draw.allowed) : 0,
        .n_tokens = static_cast<std::uint32_t>(draw.n_tokens > 0 ? draw.n_tokens : vocab),
        .masked = masked,
        .inverse_temperature = draw.temperature > 0 ? static_cast<float>(1 / draw.temperature) : 0,
        .top_p = static_cast<float>(draw.top_p),
        .least = static_cast<float>(std::max(draw.min_p, std::exp(kLeastLogarithm))),
        .random = static_cast<float>(draw.random)};
    std::memcpy(host_->region().mapped + i * sizeof made, &made, sizeof made);
  }
}

std::span<const Token> DrawMemory::tokens() const {
  return {reinterpret_cast<const Token*>(host_->region().mapped + tokens_at_), n_};
}

}  // namespace corvid::model
