#include "model/compute/vulkan/commands.h"

#include <xxhash.h>

#include <algorithm>
#include <cassert>

#include "model/error.h"

namespace corvid::model {
namespace {

constexpr std::size_t kRecordings = 128;  // that are kept for a replay
constexpr std::uint64_t kPatienceNs = 120'000'000'000, kAnyTimeNs = UINT64_MAX;

}  // namespace

Commands::Commands(const Device& device, const Pipelines& pipelines)
    : device_(device), pipelines_(pipelines) {
  const VkCommandPoolCreateInfo pool{.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                     .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                     .queueFamilyIndex = device.queue_family()};
  check(device.vk().vkCreateCommandPool(device.handle(), &pool, nullptr, &pool_), "commands");
  const VkFenceCreateInfo fence{.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
  check(device.vk().vkCreateFence(device.handle(), &fence, nullptr, &fence_), "commands");
}

Commands::~Commands() {
  const DeviceFunctions& vk = device_.vk();
  if (running_) vk.vkDeviceWaitIdle(device_.handle());
  vk.vkDestroyFence(device_.handle(), fence_, nullptr);
  vk.vkDestroyCommandPool(device_.handle(), pool_, nullptr);
}

Commands::Command& Commands::add(Command::Kind kind) {
  Command& command = list_.emplace_back();
  std::memset(static_cast<void*>(&command), 0, sizeof command);  // lists are compared as bytes
  command.kind = kind;
  return command;
}

void Commands::copy(const Region& from, const Region& to) {
  assert(from.size <= to.size);
  Command& command = add(Command::Kind::copy);
  command.from = from.buffer;
  command.to = to.buffer;
  command.copy = {from.offset, to.offset, from.size};
  const bool up = from.mapped && !to.mapped, down = to.mapped && !from.mapped;
  command.bus = up ? Bus::up : down ? Bus::down : Bus::none;
}

void Commands::barrier() {
  if (list_.empty() || list_.back().kind != Command::Kind::barrier) add(Command::Kind::barrier);
}

// The recording of the list: an earlier one, or the one least recently used, recorded anew.
Commands::Recording& Commands::recording() {
  const std::size_t bytes = list_.size() * sizeof(Command);
  const std::uint64_t hash = XXH3_64bits(list_.data(), bytes);
  for (Recording& old : recordings_) {
    if (old.hash != hash || old.list.size() != list_.size()) continue;
    if (!std::memcmp(old.list.data(), list_.data(), bytes)) return old;
  }
  if (recordings_.size() < kRecordings) {
    Recording& made = recordings_.emplace_back();
    const VkCommandBufferAllocateInfo info{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                           .commandPool = pool_,
                                           .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                           .commandBufferCount = 1};
    check(device_.vk().vkAllocateCommandBuffers(device_.handle(), &info, &made.buffer), "commands");
  }
  Recording& made = *std::ranges::min_element(recordings_, {}, &Recording::last_use);
  made.hash = hash;
  made.list = list_;
  record(made);
  ++counts_.recordings;
  return made;
}

void Commands::record(const Recording& recording) {
  const DeviceFunctions& vk = device_.vk();
  const VkCommandBuffer to = recording.buffer;
  const VkCommandBufferBeginInfo begin{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  check(vk.vkBeginCommandBuffer(to, &begin), "commands");
  constexpr VkPipelineStageFlags kStages =
      VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
  const auto order = [&](VkPipelineStageFlags before, VkAccessFlags written,
                         VkPipelineStageFlags after, VkAccessFlags read) {
    const VkMemoryBarrier memory{
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = written, .dstAccessMask = read};
    vk.vkCmdPipelineBarrier(to, before, after, 0, 1, &memory, 0, nullptr, 0, nullptr);
  };
  constexpr VkAccessFlags kWrites = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
  constexpr VkAccessFlags kAll = kWrites | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;
  order(kStages, kWrites, kStages, kAll);  // after earlier submissions
  VkPipeline bound = VK_NULL_HANDLE;
  for (const Command& command : recording.list) {
    switch (command.kind) {
      case Command::Kind::dispatch:
        if (command.pipeline != bound) {
          vk.vkCmdBindPipeline(to, VK_PIPELINE_BIND_POINT_COMPUTE, command.pipeline);
          bound = command.pipeline;
        }
        vk.vkCmdPushConstants(to, pipelines_.layout(), VK_SHADER_STAGE_COMPUTE_BIT, 0,
                              command.push_bytes, command.push.data());
        vk.vkCmdDispatch(to, command.groups.x, command.groups.y, command.groups.z);
        break;
      case Command::Kind::copy:
        vk.vkCmdCopyBuffer(to, command.from, command.to, 1, &command.copy);
        break;
      case Command::Kind::barrier:
        order(kStages, kWrites, kStages, kAll);
        break;
    }
  }
  order(kStages, kWrites, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
  check(vk.vkEndCommandBuffer(to), "commands");
}

void Commands::submit() {
  if (list_.empty()) return;
  wait();
  Recording& ready = recording();
  ready.last_use = ++counts_.submissions;
  for (const Command& command : list_) {
    counts_.dispatches += command.kind == Command::Kind::dispatch;
    counts_.copies += command.kind == Command::Kind::copy;
    counts_.barriers += command.kind == Command::Kind::barrier;
    const auto bytes = static_cast<std::int64_t>(command.copy.size);
    counts_.up_bytes += command.bus == Bus::up ? bytes : 0;
    counts_.down_bytes += command.bus == Bus::down ? bytes : 0;
  }
  list_.clear();
  const VkSubmitInfo info{.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                          .commandBufferCount = 1,
                          .pCommandBuffers = &ready.buffer};
  check(device_.vk().vkQueueSubmit(device_.queue(), 1, &info, fence_), device_.info().name.c_str());
  running_ = true;
}

void Commands::wait() {
  if (!running_) return;
  const DeviceFunctions& vk = device_.vk();
  // A software device does not hang; it waits for a CPU that others use, too.
  const bool is_software = device_.info().kind == DeviceKind::software;
  const VkResult result = vk.vkWaitForFences(device_.handle(), 1, &fence_, VK_TRUE,
                                             is_software ? kAnyTimeNs : kPatienceNs);
  check(result, device_.info().name.c_str());
  if (result == VK_TIMEOUT) {
    throw ModelError(device_.info().name + ": the device has not answered for two minutes");
  }
  vk.vkResetFences(device_.handle(), 1, &fence_);
  running_ = false;
}

void Commands::forget() {
  finish();
  for (const Recording& old : recordings_) {
    device_.vk().vkFreeCommandBuffers(device_.handle(), pool_, 1, &old.buffer);
  }
  recordings_.clear();
}

}  // namespace corvid::model
