// What draw.comp reads and writes beside the logits: how to draw, masks, and the tokens drawn.
//
// How to draw and masks lie on the device, one for each row; what is the same as for the row's last
// draw is not sent again, and the device moves series of random numbers on by itself. Only tokens
// lie in mapped memory. Addresses stay the same, so that commands can be replayed. Owned by one
// back end.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/compute/draw.h"
#include "model/compute/vulkan/known_memory.h"

namespace corvid::model {

class DrawMemory {
 public:
  DrawMemory(const Device& device, Commands& commands)
      : device_(device),
        commands_(commands),
        ways_(device, commands, "draws"),
        masks_(device, commands, "masks") {}

  // The device must have drawn before. Appends copies of what has changed, and expects draws.
  void begin(std::span<const Draw> draws, int vocab);
  // The device has drawn.
  std::span<const Token> finish();

  VkDeviceAddress draws_address() const { return ways_.address(); }
  VkDeviceAddress tokens_address() const { return tokens_->region().address; }

 private:
  struct Way {  // as in draw.comp
    VkDeviceAddress allowed;
    std::uint32_t n_tokens, masked;
    float inverse_temperature, top_p, least;
    std::uint32_t unused;
    std::uint64_t random;  // the state of the series
  };

  void reserve(std::size_t n, VkDeviceSize mask_bytes);
  VkDeviceAddress mask_address(std::size_t row, std::span<const std::uint64_t> mask);

  const Device& device_;
  Commands& commands_;
  KnownMemory ways_, masks_;
  std::unique_ptr<Buffer> tokens_;
  std::vector<Way> drawn_;  // what they are afterwards
  std::size_t rows_ = 0;    // that there is room for
  VkDeviceSize mask_bytes_ = 0;
};

}  // namespace corvid::model
