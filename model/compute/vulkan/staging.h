// The way up for weights: two windows of mapped memory that are filled and copied in turn.
//
// Writes may be small; a window is copied when it is full. Owned by one back end.
#pragma once

#include <span>

#include "model/compute/vulkan/commands.h"

namespace corvid::model {

class Staging {
 public:
  Staging(const Device& device, Commands& commands);

  // `data` may be dropped after the call. What was written is there after flush().
  void write(const Region& to, std::span<const std::byte> data);
  void flush();

 private:
  Commands& commands_;
  Buffer windows_[2];
  int current_ = 0;
  VkDeviceSize used_ = 0;
};

}  // namespace corvid::model
