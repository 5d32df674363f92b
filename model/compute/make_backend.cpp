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

// A smaller model is done before a GPU would have been woken up.
constexpr std::int64_t kWorthwhileBytes = 256 << 20;
// Of the free memory, what weights may take: activations and KV pages need the rest.
constexpr double kWeightsShare = 0.85;

// Discrete before integrated before virtual before software; null: none that can run a model.
const DeviceInfo* best_of(const DeviceList& list) {
  const DeviceInfo* best = nullptr;
  for (const DeviceInfo& device : list.devices) {
    if (device.problem.empty() && (!best || device.kind < best->kind)) best = &device;
  }
  return best;
}

int best_device() {
  const DeviceList list = list_devices();
  if (const DeviceInfo* best = best_of(list)) return best->index;
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
                   "'; there are auto, cpu, vulkan and vulkan:N (see `corvid devices`)");
}

std::unique_ptr<Backend> make_cpu(const BackendOptions& options) {
  return std::make_unique<CpuBackend>(CpuOptions{
      .threads = options.threads, .kernels = options.kernels, .precision = options.precision});
}

std::unique_ptr<Backend> make_gpu(const BackendOptions& options, int device) {
  return std::make_unique<VulkanBackend>(
      VulkanOptions{.device = device, .threads = options.threads, .precision = options.precision});
}

// The device that a model is worth waking and fits into; null: the CPU.
std::unique_ptr<Backend> make_worthwhile_gpu(const BackendOptions& options) {
  if (options.model_bytes < kWorthwhileBytes) return nullptr;
  const DeviceList list = list_devices();
  const DeviceInfo* best = best_of(list);
  // Whether an integrated one is faster than the CPU beside it has not been measured.
  if (!best || best->kind != DeviceKind::discrete) return nullptr;
  const double room = kWeightsShare * static_cast<double>(best->free_bytes);
  if (static_cast<double>(options.model_bytes) > room) return nullptr;
  return make_gpu(options, best->index);
}

}  // namespace

std::unique_ptr<Backend> make_backend(const BackendOptions& options, std::string& note) {
  if (options.name == "cpu") return make_cpu(options);
  if (options.name != "auto") return make_gpu(options, device_of(options.name));
  try {
    if (auto gpu = make_worthwhile_gpu(options)) return gpu;
  } catch (const ModelError& error) {
    note = std::string("the GPU is not used: ") + error.what();
  }
  return make_cpu(options);
}

}  // namespace corvid::model
