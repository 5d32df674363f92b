#include "model/compute/vulkan/buffer.h"

#include <algorithm>
#include <string>

#include "model/error.h"

namespace corvid::model {
namespace {

constexpr VkDeviceSize kBlockBytes = 64 << 20;
constexpr VkDeviceSize kLargeShare = 4;  // of a block: what is larger has one of its own
constexpr VkDeviceSize kAlignment = 256;

int choose_memory(const Device& device, std::uint32_t allowed, Memory memory) {
  constexpr VkMemoryPropertyFlags kMapped =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  if (memory == Memory::device) {
    const int found = device.memory_type(allowed, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
    return found >= 0 ? found : device.memory_type(allowed, 0);
  }
  const int cached = device.memory_type(allowed, kMapped | VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
  return cached >= 0 ? cached : device.memory_type(allowed, kMapped);
}

}  // namespace

Buffer::Buffer(const Device& device, VkDeviceSize size, Memory memory, const char* purpose)
    : device_(device) {
  const DeviceFunctions& vk = device.vk();
  const std::string what =
      device.info().name + ", " + std::to_string(size >> 20) + " MB for " + purpose;
  const VkBufferCreateInfo info{
      .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
      .size = size,
      .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
               VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
  region_.size = size;
  if (memory == Memory::device) {
    taken_ = size;
    device.take(taken_, what);
  }
  const auto give_up = [&](VkResult result) {
    device.give_back(taken_);
    check(result, what.c_str());
  };
  const VkResult created = vk.vkCreateBuffer(device.handle(), &info, nullptr, &region_.buffer);
  if (created < 0) give_up(created);
  VkMemoryRequirements needs;
  vk.vkGetBufferMemoryRequirements(device.handle(), region_.buffer, &needs);
  const VkMemoryAllocateFlagsInfo flags{.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                        .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
  const int type = choose_memory(device, needs.memoryTypeBits, memory);
  const VkMemoryAllocateInfo allocation{.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                        .pNext = &flags,
                                        .allocationSize = needs.size,
                                        .memoryTypeIndex = static_cast<std::uint32_t>(type)};
  void* mapped = nullptr;
  VkResult result = type < 0 ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                             : vk.vkAllocateMemory(device.handle(), &allocation, nullptr, &memory_);
  if (result >= 0) {
    result = vk.vkBindBufferMemory(device.handle(), region_.buffer, memory_, 0);
  }
  if (result >= 0 && memory == Memory::host) {
    result = vk.vkMapMemory(device.handle(), memory_, 0, VK_WHOLE_SIZE, 0, &mapped);
  }
  if (result < 0) {
    vk.vkDestroyBuffer(device.handle(), region_.buffer, nullptr);
    vk.vkFreeMemory(device.handle(), memory_, nullptr);
    give_up(result);
  }
  const VkBufferDeviceAddressInfo address{.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                          .buffer = region_.buffer};
  region_.address = vk.vkGetBufferDeviceAddress(device.handle(), &address);
  region_.mapped = static_cast<std::byte*>(mapped);
}

Buffer::~Buffer() {
  device_.vk().vkDestroyBuffer(device_.handle(), region_.buffer, nullptr);
  device_.vk().vkFreeMemory(device_.handle(), memory_, nullptr);
  device_.give_back(taken_);
}

Region Arena::take(VkDeviceSize size) {
  size = (size + kAlignment - 1) / kAlignment * kAlignment;
  const VkDeviceSize usual = std::min(kBlockBytes, device_.largest_allocation());
  if (size > usual / kLargeShare) return add_block(size);
  if (used_ + size > open_.size) {
    open_ = add_block(usual);
    used_ = 0;
  }
  used_ += size;
  return open_.part(used_ - size, size);
}

Region Arena::add_block(VkDeviceSize size) {
  blocks_.push_back(std::make_unique<Buffer>(device_, size, Memory::device, purpose_));
  bytes_ += size;
  return blocks_.back()->region();
}

VkDeviceAddress Scratch::reserve(VkDeviceSize size) {
  if (!holds(size)) {
    buffer_.reset();
    buffer_ = std::make_unique<Buffer>(device_, size + size / 4, Memory::device, "activations");
  }
  return buffer_->region().address;
}

}  // namespace corvid::model
