// What draw.comp reads and writes beside the logits: how to draw, masks, and the tokens drawn.
//
// Draws and tokens lie in mapped memory that the device reaches. Masks lie on the device, one for
// each row; one that is the same as for the row's last draw is not sent again. Addresses stay the
// same, so that commands can be replayed. Owned by one back end.
#pragma once

#include <memory>
#include <span>

#include "model/compute/draw.h"
#include "model/compute/vulkan/commands.h"

namespace corvid::model {

class DrawMemory {
 public:
  DrawMemory(const Device& device, Commands& commands) : device_(device), commands_(commands) {}

  // The device must have drawn before. Appends the copies of masks that have changed.
  void begin(std::span<const Draw> draws, int vocab);

  VkDeviceSize bytes() const { return bytes_; }  // over the bus, for these draws
  VkDeviceAddress draws_address() const { return host_->region().address; }
  VkDeviceAddress tokens_address() const { return draws_address() + tokens_at_; }
  std::span<const Token> tokens() const;  // when the device has drawn

 private:
  void reserve(std::size_t n, VkDeviceSize mask_bytes);
  VkDeviceAddress send_mask(std::size_t row, std::span<const std::uint64_t> mask);

  const Device& device_;
  Commands& commands_;
  std::unique_ptr<Buffer> host_, host_masks_, masks_;
  std::size_t rows_ = 0;  // that there is room for
  std::size_t n_ = 0;
  VkDeviceSize mask_bytes_ = 0, tokens_at_ = 0, bytes_ = 0;
};

}  // namespace corvid::model
