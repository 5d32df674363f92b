#include "model/compute/make_backend.h"

#include <algorithm>
#include <charconv>

#include "model/compute/cpu/cpu_backend.h"
#include "model/compute/vulkan/devices.h"
#include "model/compute/vulkan/vulkan_backend.h"
#include "model/error.h"

namespace corvid::model {
namespace {

constexpr std::string_view kVulkan = "vulkan";

// Discrete before integrated before virtual before software.
int best_device() {
  const DeviceList list = list_devices();
  const DeviceInfo* best = nullptr;
  for (const DeviceInfo& device : list.devices) {
    if (device.problem.empty() && (!best || device.kind < best->kind)) best = &device;
  }
  if (best) return best->index;
  if (!list.problem.empty()) throw ModelError("no GPU: " + list.problem);
  throw ModelError("no GPU: " + list.devices[0].name + ": " + list.devices[0].problem);
}

int device_of(std::string_view name) {
  if (name == kVulkan) return best_device();
  int index = -1;
  if (name.starts_with(kVulkan) && name[kVulkan.size()] == ':') {
    const char* end = name.data() + name.size();
    const auto [at, error] = std::from_chars(name.data() + kVulkan.size() + 1, end, index);
    if (error == std::errc() && at == end && index >= 0) return index;
  }
  throw ModelError("there is no back end '" + std::string(name) +
                   "'; there are cpu, vulkan and vulkan:N (see `corvid devices`)");
}

}  // namespace

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  if (options.name == "cpu") {
    return std::make_unique<CpuBackend>(CpuOptions{
        .threads = options.threads, .kernels = options.kernels, .precision = options.precision});
  }
  return std::make_unique<VulkanBackend>(VulkanOptions{.device = device_of(options.name),
                                                       .threads = options.threads,
                                                       .precision = options.precision});
}

}  // namespace corvid::model
