#include "model/compute/vulkan/draw_memory.h"

#include <algorithm>
#include <cmath>

namespace corvid::model {
namespace {

// What weighs less than e^-30 of the best is never drawn; see draw.cpp.
constexpr double kLeastLogarithm = -30;

}  // namespace

void DrawMemory::reserve(std::size_t n, VkDeviceSize mask_bytes) {
  static_assert(sizeof(Way) == 40);
  if (n <= rows_ && mask_bytes <= mask_bytes_) return;
  commands_.forget();
  rows_ = std::max(n, rows_);
  mask_bytes_ = std::max(mask_bytes, mask_bytes_);
  ways_.reserve(rows_ * sizeof(Way));
  masks_.reserve(rows_ * mask_bytes_);
  tokens_ = std::make_unique<Buffer>(device_, rows_ * sizeof(Token), Memory::host, "tokens");
}

VkDeviceAddress DrawMemory::mask_address(std::size_t row, std::span<const std::uint64_t> mask) {
  masks_.update(row * mask_bytes_, std::as_bytes(mask));
  return masks_.address() + row * mask_bytes_;
}

void DrawMemory::begin(std::span<const Draw> draws, int vocab) {
  reserve(draws.size(), (static_cast<VkDeviceSize>(vocab) + 63) / 64 * 8);
  drawn_.clear();
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const Draw& draw = draws[i];
    const bool masked = !draw.allowed.empty();
    drawn_.push_back(
        {.allowed = masked ? mask_address(i, draw.allowed) : 0,
         .n_tokens = static_cast<std::uint32_t>(draw.n_tokens > 0 ? draw.n_tokens : vocab),
         .masked = masked,
         .inverse_temperature = draw.temperature > 0 ? static_cast<float>(1 / draw.temperature) : 0,
         .top_p = static_cast<float>(draw.top_p),
         .least = static_cast<float>(std::max(draw.min_p, std::exp(kLeastLogarithm))),
         .unused = 0,
         .random = draw.temperature > 0 ? random_state(draw.seed, draw.nth) : 0});
  }
  const std::span<const std::byte> bytes = std::as_bytes(std::span(drawn_));
  ways_.update(0, bytes);
  ways_.expect_change(0, bytes.size());
  for (Way& way : drawn_) way.random += way.inverse_temperature != 0 ? kRandomStep : 0;
}

std::span<const Token> DrawMemory::finish() {
  ways_.learn(0, std::as_bytes(std::span(drawn_)));
  return {reinterpret_cast<const Token*>(tokens_->region().mapped), drawn_.size()};
}

}  // namespace corvid::model
