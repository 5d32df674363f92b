// The devices that Vulkan offers on this machine, and whether they can run a model.
//
// Plain values without a Vulkan header, for whoever chooses or prints. Listing starts every driver
// once (tens of milliseconds). Any thread. Throws nothing: what is wrong is said in `problem`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace corvid::model {

enum class DeviceKind { discrete, integrated, virtual_gpu, software, other };

struct DeviceInfo {
  int index = 0;  // N of "vulkan:N"
  std::string name;
  std::string driver;
  DeviceKind kind = DeviceKind::other;
  std::uint32_t vendor = 0;       // its PCI id
  std::int64_t memory_bytes = 0;  // of its own, or that it shares with the CPU
  std::int64_t free_bytes = 0;    // now, as far as the driver tells; else all of it
  int subgroup_min = 0, subgroup_max = 0;
  std::vector<int> subgroup_sizes;  // of 8, 16, 32, 64: those that a kernel can ask for
  bool integer_dot = false;         // 8-bit dot products, and in hardware
  bool fast_integer_dot = false;
  std::string problem;  // why it cannot run a model; empty: it can
};

struct DeviceList {
  std::vector<DeviceInfo> devices;
  std::string problem;  // why there are none
};

DeviceList list_devices();
const char* kind_name(DeviceKind kind);  // "discrete"
// Discrete before integrated before virtual before software; of a kind the one with the most free
// memory. Null: none that can run a model.
const DeviceInfo* best_of(const DeviceList& list);

}  // namespace corvid::model
