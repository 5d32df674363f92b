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

constexpr std::uint32_t kApple = 0x106b;

// Chosen without being asked for. Of integrated GPUs Apple's alone: it has several times the
// arithmetic of the CPU beside it and reads memory faster; of the others nobody has measured it.
bool is_worthwhile(const DeviceInfo& device) {
  return device.kind == DeviceKind::discrete ||
         (device.kind == DeviceKind::integrated && device.vendor == kApple);
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
  return std::make_unique<VulkanBackend>(VulkanOptions{.device = device,
                                                       .threads = options.threads,
                                                       .precision = options.precision,
                                                       .memory_bytes = options.gpu.memory_bytes,
                                                       .expert_layers = options.gpu.expert_layers,
                                                       .weights = options.weights,
                                                       .cache_folder = options.gpu.cache_folder});
}

// The device that a model is worth waking and fits into, if need be without its routed experts;
// null: the CPU.
std::unique_ptr<Backend> make_worthwhile_gpu(const BackendOptions& options) {
  const GpuOptions& gpu = options.gpu;
  if (!gpu.any && options.weights.all() < kWorthwhileBytes) return nullptr;
  const DeviceList list = list_devices();
  const DeviceInfo* best = best_of(list);
  if (!best || (!gpu.any && !is_worthwhile(*best))) return nullptr;
  const std::int64_t room =
      gpu.memory_bytes > 0 ? std::min(gpu.memory_bytes, best->free_bytes) : best->free_bytes;
  const WeightBytes& weights = options.weights;
  const bool all = gpu.expert_layers == kAllExperts;
  if (all ? weights.layers_that_fit(room) != kAllExperts : !weights.others_fit(room)) {
    if (gpu.memory_bytes == 0) return nullptr;  // it is no news that a model exceeds a card
    const std::int64_t bytes = all ? weights.all() : weights.others;
    throw ModelError("the model's " + std::to_string(bytes / 1'000'000) +
                     " MB and what comes with them exceed the memory that it may take");
  }
  return make_gpu(options, best->index);
}

}  // namespace

MadeBackend make_backend(const BackendOptions& options) {
  if (options.name == "cpu") return {make_cpu(options)};
  if (options.name != "auto") return {make_gpu(options, device_of(options.name))};
  std::string note;
  try {
    if (auto gpu = make_worthwhile_gpu(options)) return {std::move(gpu), {}, true};
  } catch (const ModelError& error) {
    note = std::string("the GPU is not used: ") + error.what();
  }
  return {make_cpu(options), std::move(note)};
}

}  // namespace corvid::model
