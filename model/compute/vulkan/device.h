// One opened Vulkan device: its queue, its limits and its functions.
//
// What we ask of a device is little, so that one set of kernels runs everywhere: Vulkan 1.2 with
// buffer addresses (a kernel gets plain pointers; there are no descriptors and no limit on a
// binding's size). Weights are read as 32-bit words, so no 8- or 16-bit storage is needed.
// Owned by one back end; calls come from one thread. Throws ModelError.
#pragma once

#include <string>

#include "model/compute/vulkan/devices.h"
#include "model/compute/vulkan/functions.h"

namespace corvid::model {

// What kernels use of a device beyond what every device has. Results do not depend on it.
struct Abilities {
  static constexpr int kBest = -1, kNone = 0;
  int subgroup_size = kBest;  // kNone: sums across threads go through shared memory
  int integer_dot = kBest;    // best: where it is done in hardware; 1: wherever it is offered
};

// What is used of a device; ModelError when it has not what is wanted.
Abilities choose_abilities(const DeviceInfo& device, const Abilities& wanted);

class Device {
 public:
  // Of its memory, `budget_bytes` may be taken; 0: what is free. ModelError when it has not the
  // abilities that are asked for.
  explicit Device(int index, VkDeviceSize budget_bytes = 0, const Abilities& wanted = {});
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceInfo& info() const { return info_; }
  const Abilities& abilities() const { return abilities_; }  // chosen; none of them kBest
  VkDevice handle() const { return device_; }
  VkQueue queue() const { return queue_; }
  std::uint32_t queue_family() const { return queue_family_; }
  const DeviceFunctions& vk() const { return vk_; }
  VkDeviceSize largest_allocation() const { return largest_allocation_; }
  std::int64_t budget_bytes() const { return static_cast<std::int64_t>(budget_); }
  // A memory type among `allowed` (bits) that has all of `wanted`, else -1.
  int memory_type(std::uint32_t allowed, VkMemoryPropertyFlags wanted) const;
  // Counts memory on the device; ModelError when `what` does not fit into the budget.
  void take(VkDeviceSize bytes, const std::string& what) const;
  void give_back(VkDeviceSize bytes) const { taken_ -= bytes; }
  const VkPhysicalDeviceProperties& properties() const { return properties_; }

 private:
  void open(VkPhysicalDevice physical);

  InstanceFunctions instance_;
  DeviceFunctions vk_;
  DeviceInfo info_;
  VkDevice device_ = VK_NULL_HANDLE;
  VkQueue queue_ = VK_NULL_HANDLE;
  std::uint32_t queue_family_ = 0;
  Abilities abilities_;
  VkDeviceSize largest_allocation_ = 0, budget_ = 0;
  mutable VkDeviceSize taken_ = 0;  // by buffers, whose owners see a constant device
  VkPhysicalDeviceProperties properties_{};
  VkPhysicalDeviceMemoryProperties memory_{};
};

}  // namespace corvid::model
