#include "model/compute/vulkan/device.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "model/error.h"

namespace corvid::model {
namespace {

constexpr std::uint32_t kSharedBytes = 32768;  // of a workgroup, that the kernels use at most
constexpr std::uint32_t kInvocations = 256;
constexpr int kUsualSubgroup = 32;
// An older one takes the lengths of arrays from the defaults of the constants that they depend on,
// not from what a pipeline says, and so computes something else. 10 000 a major version.
constexpr std::uint32_t kLeastMoltenVk = 10300;

DeviceKind kind_of(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return DeviceKind::discrete;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return DeviceKind::integrated;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return DeviceKind::virtual_gpu;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return DeviceKind::software;
    default:
      return DeviceKind::other;
  }
}

std::vector<VkPhysicalDevice> physical_devices(const InstanceFunctions& vk) {
  std::uint32_t n = 0;
  check(vk.vkEnumeratePhysicalDevices(vk.instance, &n, nullptr), "listing the devices");
  std::vector<VkPhysicalDevice> devices(n);
  vk.vkEnumeratePhysicalDevices(vk.instance, &n, devices.data());
  return devices;
}

bool has_extension(const InstanceFunctions& vk, VkPhysicalDevice device, const char* name) {
  std::uint32_t n = 0;
  vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &n, nullptr);
  std::vector<VkExtensionProperties> extensions(n);
  vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &n, extensions.data());
  return std::ranges::any_of(extensions, [&](const VkExtensionProperties& extension) {
    return !std::strcmp(extension.extensionName, name);
  });
}

// The family that computes; one without graphics, where there is one, is scheduled on its own.
int compute_family(const InstanceFunctions& vk, VkPhysicalDevice device) {
  std::uint32_t n = 0;
  vk.vkGetPhysicalDeviceQueueFamilyProperties(device, &n, nullptr);
  std::vector<VkQueueFamilyProperties> families(n);
  vk.vkGetPhysicalDeviceQueueFamilyProperties(device, &n, families.data());
  int found = -1;
  for (std::uint32_t i = 0; i < n; ++i) {
    if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)) continue;
    if (found < 0 || !(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT)) found = static_cast<int>(i);
    if (!(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT)) break;
  }
  return found;
}

std::string problem_of(const InstanceFunctions& vk, VkPhysicalDevice device,
                       const VkPhysicalDeviceProperties& properties) {
  if (properties.apiVersion < VK_API_VERSION_1_2) return "its driver offers less than Vulkan 1.2";
  VkPhysicalDeviceBufferDeviceAddressFeatures address{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES};
  VkPhysicalDeviceFeatures2 features{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &address};
  vk.vkGetPhysicalDeviceFeatures2(device, &features);
  if (!address.bufferDeviceAddress) return "its driver has no buffer addresses";
  const VkPhysicalDeviceLimits& limits = properties.limits;
  if (limits.maxComputeSharedMemorySize < kSharedBytes ||
      limits.maxComputeWorkGroupInvocations < kInvocations) {
    return "its workgroups are too small";
  }
  if (compute_family(vk, device) < 0) return "it does not compute";
  return {};
}

// Total and free bytes of the memory that is nearest to the device.
void read_memory(const InstanceFunctions& vk, VkPhysicalDevice device, DeviceInfo& info) {
  const bool budgets = has_extension(vk, device, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
  VkPhysicalDeviceMemoryProperties2 memory{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
      .pNext = budgets ? &budget : nullptr};
  vk.vkGetPhysicalDeviceMemoryProperties2(device, &memory);
  for (std::uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount; ++i) {
    const VkMemoryHeap& heap = memory.memoryProperties.memoryHeaps[i];
    if (!(heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)) continue;
    if (static_cast<std::int64_t>(heap.size) <= info.memory_bytes) continue;
    info.memory_bytes = static_cast<std::int64_t>(heap.size);
    info.free_bytes = info.memory_bytes;
    if (budgets && budget.heapBudget[i] >= budget.heapUsage[i]) {
      info.free_bytes = static_cast<std::int64_t>(budget.heapBudget[i] - budget.heapUsage[i]);
    }
  }
}

// Subgroups of a size that a kernel asks for, all of them full, which can shuffle.
std::vector<int> subgroup_sizes(const InstanceFunctions& vk, VkPhysicalDevice device,
                                const VkPhysicalDeviceSubgroupProperties& subgroups,
                                const VkPhysicalDeviceSubgroupSizeControlProperties& sizes) {
  VkPhysicalDeviceSubgroupSizeControlFeatures control{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
  VkPhysicalDeviceFeatures2 features{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &control};
  vk.vkGetPhysicalDeviceFeatures2(device, &features);
  constexpr VkSubgroupFeatureFlags kUsed = VK_SUBGROUP_FEATURE_BASIC_BIT |
                                           VK_SUBGROUP_FEATURE_SHUFFLE_BIT |
                                           VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT;
  const bool usable = control.subgroupSizeControl && control.computeFullSubgroups &&
                      (subgroups.supportedOperations & kUsed) == kUsed &&
                      (subgroups.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
                      (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT);
  std::vector<int> found;
  for (std::uint32_t size : {8, 16, 32, 64}) {
    const bool inside = size >= sizes.minSubgroupSize && size <= sizes.maxSubgroupSize;
    const bool holds_all = size * sizes.maxComputeWorkgroupSubgroups >= kInvocations;
    if (usable && inside && holds_all) found.push_back(static_cast<int>(size));
  }
  return found;
}

DeviceInfo describe(const InstanceFunctions& vk, VkPhysicalDevice device, int index) {
  VkPhysicalDeviceProperties2 first{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
  vk.vkGetPhysicalDeviceProperties2(device, &first);
  DeviceInfo info{.index = index,
                  .name = first.properties.deviceName,
                  .kind = kind_of(first.properties.deviceType),
                  .vendor = first.properties.vendorID};
  info.problem = problem_of(vk, device, first.properties);
  read_memory(vk, device, info);
  if (!info.problem.empty()) return info;

  VkPhysicalDeviceSubgroupSizeControlProperties sizes{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
  VkPhysicalDeviceShaderIntegerDotProductProperties dot{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES};
  VkPhysicalDeviceSubgroupProperties subgroups{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
  VkPhysicalDeviceDriverProperties driver{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES, .pNext = &subgroups};
  const auto offers = [&](const char* name) { return has_extension(vk, device, name); };
  VkPhysicalDeviceProperties2 all{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                  .pNext = &driver};
  if (offers(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) {
    sizes.pNext = all.pNext;
    all.pNext = &sizes;
  }
  if (offers(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)) {
    dot.pNext = all.pNext;
    all.pNext = &dot;
  }
  vk.vkGetPhysicalDeviceProperties2(device, &all);
  info.driver = std::string(driver.driverName) + " " + driver.driverInfo;
  if (driver.driverID == VK_DRIVER_ID_MOLTENVK && first.properties.driverVersion < kLeastMoltenVk) {
    info.problem = "its MoltenVK is older than 1.3";
    return info;
  }
  const auto size = static_cast<int>(subgroups.subgroupSize);
  info.subgroup_min = sizes.minSubgroupSize ? static_cast<int>(sizes.minSubgroupSize) : size;
  info.subgroup_max = sizes.maxSubgroupSize ? static_cast<int>(sizes.maxSubgroupSize) : size;
  if (sizes.maxSubgroupSize) info.subgroup_sizes = subgroup_sizes(vk, device, subgroups, sizes);
  info.integer_dot = offers(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
  info.fast_integer_dot = dot.integerDotProduct4x8BitPackedSignedAccelerated;
  return info;
}

}  // namespace

const char* kind_name(DeviceKind kind) {
  constexpr const char* kNames[] = {"discrete", "integrated", "virtual", "software", "other"};
  return kNames[static_cast<int>(kind)];
}

DeviceList list_devices() {
  DeviceList list;
  try {
    const InstanceFunctions vk = open_vulkan();
    int index = 0;
    for (VkPhysicalDevice device : physical_devices(vk)) {
      list.devices.push_back(describe(vk, device, index++));
    }
    vk.vkDestroyInstance(vk.instance, nullptr);
    if (list.devices.empty()) list.problem = "Vulkan is installed, but no driver for a device";
  } catch (const ModelError& error) {
    list.problem = error.what();
  }
  return list;
}

const DeviceInfo* best_of(const DeviceList& list) {
  const DeviceInfo* best = nullptr;
  for (const DeviceInfo& device : list.devices) {
    if (!device.problem.empty()) continue;
    const bool better = !best || device.kind < best->kind ||
                        (device.kind == best->kind && device.free_bytes > best->free_bytes);
    if (better) best = &device;
  }
  return best;
}

Abilities choose_abilities(const DeviceInfo& device, const Abilities& wanted) {
  const std::vector<int>& sizes = device.subgroup_sizes;
  const auto offers = [&sizes](int size) { return std::ranges::count(sizes, size) > 0; };
  Abilities chosen = wanted;
  if (wanted.subgroup_size == Abilities::kBest) {
    // What most devices prefer; else the largest.
    chosen.subgroup_size = offers(kUsualSubgroup) ? kUsualSubgroup
                           : sizes.empty()        ? Abilities::kNone
                                                  : sizes.back();
  }
  if (wanted.integer_dot == Abilities::kBest) {
    chosen.integer_dot = device.integer_dot && device.fast_integer_dot;
  }
  if (chosen.subgroup_size != Abilities::kNone && !offers(chosen.subgroup_size)) {
    throw ModelError(device.name + " has no subgroups of " + std::to_string(chosen.subgroup_size));
  }
  if (chosen.integer_dot != Abilities::kNone && !device.integer_dot) {
    throw ModelError(device.name + " has no integer dot product");
  }
  return chosen;
}

Device::Device(int index, VkDeviceSize budget_bytes, const Abilities& wanted)
    : instance_(open_vulkan()) {
  try {
    const std::vector<VkPhysicalDevice> all = physical_devices(instance_);
    if (index < 0 || index >= static_cast<int>(all.size())) {
      throw ModelError("there is no device vulkan:" + std::to_string(index) +
                       "; `corvid devices` lists those there are");
    }
    const VkPhysicalDevice physical = all[index];
    info_ = describe(instance_, physical, index);
    if (!info_.problem.empty()) {
      throw ModelError(info_.name + " cannot run a model: " + info_.problem);
    }
    budget_ = budget_bytes > 0 ? budget_bytes : static_cast<VkDeviceSize>(info_.free_bytes);
    abilities_ = choose_abilities(info_, wanted);
    open(physical);
  } catch (...) {
    instance_.vkDestroyInstance(instance_.instance, nullptr);
    throw;
  }
}

void Device::open(VkPhysicalDevice physical) {
  VkPhysicalDeviceMaintenance3Properties sizes{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
  VkPhysicalDeviceProperties2 properties{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                         .pNext = &sizes};
  instance_.vkGetPhysicalDeviceProperties2(physical, &properties);
  largest_allocation_ = sizes.maxMemoryAllocationSize;
  properties_ = properties.properties;
  VkPhysicalDeviceMemoryProperties2 memory{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  instance_.vkGetPhysicalDeviceMemoryProperties2(physical, &memory);
  memory_ = memory.memoryProperties;

  queue_family_ = static_cast<std::uint32_t>(compute_family(instance_, physical));
  const float priority = 1;
  const VkDeviceQueueCreateInfo queue{.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                      .queueFamilyIndex = queue_family_,
                                      .queueCount = 1,
                                      .pQueuePriorities = &priority};
  VkPhysicalDeviceBufferDeviceAddressFeatures address{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
      .bufferDeviceAddress = VK_TRUE};
  VkPhysicalDeviceSubgroupSizeControlFeatures subgroups{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
      .subgroupSizeControl = VK_TRUE,
      .computeFullSubgroups = VK_TRUE};
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
      .shaderIntegerDotProduct = VK_TRUE};
  std::vector<const char*> extensions;
  void* features = &address;
  if (abilities_.subgroup_size != Abilities::kNone) {
    extensions.push_back(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    subgroups.pNext = std::exchange(features, &subgroups);
  }
  if (abilities_.integer_dot != Abilities::kNone) {
    extensions.push_back(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
    dot.pNext = std::exchange(features, &dot);
  }
  constexpr const char* kPortability = "VK_KHR_portability_subset";
  if (has_extension(instance_, physical, kPortability)) extensions.push_back(kPortability);
  const VkDeviceCreateInfo info{
      .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
      .pNext = features,
      .queueCreateInfoCount = 1,
      .pQueueCreateInfos = &queue,
      .enabledExtensionCount = static_cast<std::uint32_t>(extensions.size()),
      .ppEnabledExtensionNames = extensions.data()};
  check(instance_.vkCreateDevice(physical, &info, nullptr, &device_), "opening the device");
  vk_ = device_functions(instance_, device_);
  vk_.vkGetDeviceQueue(device_, queue_family_, 0, &queue_);
}

Device::~Device() {
  vk_.vkDestroyDevice(device_, nullptr);
  instance_.vkDestroyInstance(instance_.instance, nullptr);
}

int Device::memory_type(std::uint32_t allowed, VkMemoryPropertyFlags wanted) const {
  for (std::uint32_t i = 0; i < memory_.memoryTypeCount; ++i) {
    const bool has_all = (memory_.memoryTypes[i].propertyFlags & wanted) == wanted;
    if ((allowed >> i & 1) && has_all) return static_cast<int>(i);
  }
  return -1;
}

void Device::take(VkDeviceSize bytes, const std::string& what) const {
  const auto megabytes = [](VkDeviceSize n) { return std::to_string((n + 999'999) / 1'000'000); };
  if (taken_ + bytes > budget_) {
    throw ModelError(
        what + " do not fit: " + megabytes(taken_) + " MB of " + megabytes(budget_) +
        " MB of GPU memory are taken; a larger --gpu-memory, fewer --gpu-experts, a smaller model "
        "or --backend cpu will do");
  }
  taken_ += bytes;
}

}  // namespace corvid::model
