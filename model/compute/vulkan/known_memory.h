// Memory on the device of which the CPU knows what is in it: what is there already is not sent
// again.
//
// Bytes go up through mapped memory of the same size, by copies that are appended to the commands;
// whoever reads them puts a barrier between. Kernels may change what is there if the CPU is told.
// Addresses stay the same until reserve() makes more room. Owned by one back end.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/compute/vulkan/commands.h"

namespace corvid::model {

class KnownMemory {
 public:
  KnownMemory(const Device& device, Commands& commands, const char* purpose)
      : device_(device), commands_(commands), purpose_(purpose) {}

  // Makes room; when it is new, there are zeros in it, and no recording is kept.
  void reserve(VkDeviceSize bytes);
  VkDeviceAddress address() const { return on_device_->region().address; }

  bool holds(VkDeviceSize at, std::span<const std::byte> bytes) const;
  // The device must have done earlier copies to the same place.
  void send(VkDeviceSize at, std::span<const std::byte> bytes);
  void update(VkDeviceSize at, std::span<const std::byte> bytes) {
    if (!holds(at, bytes)) send(at, bytes);
  }
  // The device is going to change these bytes, and what it has made of them. If it fails between,
  // they count as unknown.
  void expect_change(VkDeviceSize at, VkDeviceSize n);
  void learn(VkDeviceSize at, std::span<const std::byte> bytes);

 private:
  const Device& device_;
  Commands& commands_;
  const char* purpose_;
  std::unique_ptr<Buffer> here_, on_device_;
  std::vector<std::byte> known_;  // what the device has, when it has done the copies
  VkDeviceSize unknown_from_ = 0, unknown_to_ = 0;
};

}  // namespace corvid::model
