// Memory of a device: buffers with an address each, and arenas that hand out parts of them.
//
// A Region is a plain value that names a part of a buffer; whoever made the buffer keeps it alive.
// Owned by one back end. Throws ModelError "out of device memory" that says for what.
#pragma once

#include <memory>
#include <vector>

#include "model/compute/vulkan/device.h"

namespace corvid::model {

struct Region {
  VkBuffer buffer = VK_NULL_HANDLE;
  VkDeviceSize offset = 0, size = 0;
  VkDeviceAddress address = 0;
  std::byte* mapped = nullptr;  // where the CPU sees it, if it does

  Region part(VkDeviceSize from, VkDeviceSize n) const {
    return {buffer, offset + from, n, address + from, mapped ? mapped + from : nullptr};
  }
};

enum class Memory { device, host };  // host: near the CPU and mapped

class Buffer {
 public:
  Buffer(const Device& device, VkDeviceSize size, Memory memory, const char* purpose);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  const Region& region() const { return region_; }

 private:
  const Device& device_;
  VkDeviceMemory memory_ = VK_NULL_HANDLE;
  VkDeviceSize taken_ = 0;  // of the device's budget
  Region region_;
};

// Grows by blocks and gives nothing back before its end. What is large has a block of its own, so
// that the one that small parts share is filled, whatever comes between them.
class Arena {
 public:
  Arena(const Device& device, const char* purpose) : device_(device), purpose_(purpose) {}

  Region take(VkDeviceSize size);
  VkDeviceSize bytes() const { return bytes_; }

 private:
  Region add_block(VkDeviceSize size);

  const Device& device_;
  const char* purpose_;
  std::vector<std::unique_ptr<Buffer>> blocks_;
  Region open_;                        // the block that is shared now
  VkDeviceSize used_ = 0, bytes_ = 0;  // of that one; of all
};

// Device memory for an operation's intermediate results: what was there is lost when it grows.
class Scratch {
 public:
  explicit Scratch(const Device& device) : device_(device) {}
  // When it may grow, no command may name it. See Commands::forget.
  VkDeviceAddress reserve(VkDeviceSize size);
  bool holds(VkDeviceSize size) const { return buffer_ && buffer_->region().size >= size; }
  const Region& region() const { return buffer_->region(); }

 private:
  const Device& device_;
  std::unique_ptr<Buffer> buffer_;
};

}  // namespace corvid::model
