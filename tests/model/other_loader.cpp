// A Vulkan loader that passes everything on to the one that CORVID_LOADER names, but for what the
// environment says of the devices. Stands in for libvulkan.so.1.
//   CORVID_LOSE_WHEN     a file: when there is one, devices are lost
//   CORVID_DEVICE_TYPE   a VkPhysicalDeviceType
//   CORVID_VENDOR        its vendor's PCI id
//   CORVID_MOLTENVK      its version: the driver is MoltenVK
//   CORVID_FREE_BYTES    what VK_EXT_memory_budget says
//   CORVID_LARGEST_BYTES of an allocation, as the device tells
//   CORVID_MOST_BYTES    of all allocations; the next is refused
//   CORVID_REVERSE       commands that no barrier keeps in order are done the other way round
//   CORVID_WATCH         what changes in mapped memory is counted; see corvid_changed_words()
#include <dlfcn.h>
#include <unistd.h>
#include <vulkan/vulkan_core.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace {

PFN_vkGetInstanceProcAddr real_instance_function = nullptr;
std::map<VkDeviceMemory, VkDeviceSize> allocated;

struct Mapped {
  const std::uint32_t* words;
  std::vector<std::uint32_t> seen;
};
std::map<VkDeviceMemory, Mapped> mapped;
enum Writer { kCpu, kDevice };
std::uint64_t changed_words[2];

// What differs from what was there last was written by this one.
void watch(Writer writer) {
  for (auto& [memory, map] : mapped) {
    for (std::size_t i = 0; i < map.seen.size(); ++i) {
      if (map.words[i] == map.seen[i]) continue;
      map.seen[i] = map.words[i];
      ++changed_words[writer];
    }
  }
}

std::optional<VkDeviceSize> number(const char* name) {
  const char* text = std::getenv(name);
  if (!text) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

// The structure of this type in a chain, or null.
template <class T>
T* find(void* next, VkStructureType type) {
  auto* at = static_cast<VkBaseOutStructure*>(next);
  while (at && at->sType != type) at = at->pNext;
  return reinterpret_cast<T*>(at);
}

// `real` of a function of the same type, which takes its place.
template <class Function>
struct Replaced {
  std::string_view name;
  Function with;
  Function real = nullptr;

  PFN_vkVoidFunction by(PFN_vkVoidFunction found) {
    real = reinterpret_cast<Function>(found);
    return reinterpret_cast<PFN_vkVoidFunction>(with);
  }
};

bool is_lost() {
  const char* when = std::getenv("CORVID_LOSE_WHEN");
  return when && access(when, F_OK) == 0;
}

VkResult submit(VkQueue, std::uint32_t, const VkSubmitInfo*, VkFence);
VkResult wait(VkDevice, std::uint32_t, const VkFence*, VkBool32, std::uint64_t);
VkResult allocate(VkDevice, const VkMemoryAllocateInfo*, const VkAllocationCallbacks*,
                  VkDeviceMemory*);
void free_memory(VkDevice, VkDeviceMemory, const VkAllocationCallbacks*);
VkResult map_memory(VkDevice, VkDeviceMemory, VkDeviceSize, VkDeviceSize, VkMemoryMapFlags, void**);
PFN_vkVoidFunction device_function(VkDevice, const char*);
void bind(VkCommandBuffer, VkPipelineBindPoint, VkPipeline);
void push(VkCommandBuffer, VkPipelineLayout, VkShaderStageFlags, std::uint32_t, std::uint32_t,
          const void*);
void dispatch(VkCommandBuffer, std::uint32_t, std::uint32_t, std::uint32_t);
void copy(VkCommandBuffer, VkBuffer, VkBuffer, std::uint32_t, const VkBufferCopy*);
void barrier(VkCommandBuffer, VkPipelineStageFlags, VkPipelineStageFlags, VkDependencyFlags,
             std::uint32_t, const VkMemoryBarrier*, std::uint32_t, const VkBufferMemoryBarrier*,
             std::uint32_t, const VkImageMemoryBarrier*);
VkResult end(VkCommandBuffer);
void properties(VkPhysicalDevice, VkPhysicalDeviceProperties2*);
void memory_properties(VkPhysicalDevice, VkPhysicalDeviceMemoryProperties2*);
VkResult extensions(VkPhysicalDevice, const char*, std::uint32_t*, VkExtensionProperties*);

Replaced<PFN_vkQueueSubmit> submit_{"vkQueueSubmit", submit};
Replaced<PFN_vkWaitForFences> wait_{"vkWaitForFences", wait};
Replaced<PFN_vkAllocateMemory> allocate_{"vkAllocateMemory", allocate};
Replaced<PFN_vkFreeMemory> free_{"vkFreeMemory", free_memory};
Replaced<PFN_vkMapMemory> map_{"vkMapMemory", map_memory};
Replaced<PFN_vkCmdBindPipeline> bind_{"vkCmdBindPipeline", bind};
Replaced<PFN_vkCmdPushConstants> push_{"vkCmdPushConstants", push};
Replaced<PFN_vkCmdDispatch> dispatch_{"vkCmdDispatch", dispatch};
Replaced<PFN_vkCmdCopyBuffer> copy_{"vkCmdCopyBuffer", copy};
Replaced<PFN_vkCmdPipelineBarrier> barrier_{"vkCmdPipelineBarrier", barrier};
Replaced<PFN_vkEndCommandBuffer> end_{"vkEndCommandBuffer", end};
Replaced<PFN_vkGetDeviceProcAddr> device_function_{"vkGetDeviceProcAddr", device_function};
Replaced<PFN_vkGetPhysicalDeviceProperties2> properties_{"vkGetPhysicalDeviceProperties2",
                                                         properties};
Replaced<PFN_vkGetPhysicalDeviceMemoryProperties2> memory_properties_{
    "vkGetPhysicalDeviceMemoryProperties2", memory_properties};
Replaced<PFN_vkEnumerateDeviceExtensionProperties> extensions_{
    "vkEnumerateDeviceExtensionProperties", extensions};

template <class... Functions>
PFN_vkVoidFunction replace(std::string_view name, PFN_vkVoidFunction found, Functions&... all) {
  PFN_vkVoidFunction result = found;
  ((all.name == name ? result = all.by(found) : result), ...);
  return result;
}

VkResult submit(VkQueue queue, std::uint32_t n, const VkSubmitInfo* submits, VkFence fence) {
  watch(kCpu);
  return is_lost() ? VK_ERROR_DEVICE_LOST : submit_.real(queue, n, submits, fence);
}

VkResult wait(VkDevice device, std::uint32_t n, const VkFence* fences, VkBool32 all,
              std::uint64_t timeout_ns) {
  const VkResult result = wait_.real(device, n, fences, all, timeout_ns);
  watch(kDevice);
  return is_lost() ? VK_ERROR_DEVICE_LOST : result;
}

VkResult allocate(VkDevice device, const VkMemoryAllocateInfo* info,
                  const VkAllocationCallbacks* callbacks, VkDeviceMemory* memory) {
  VkDeviceSize sum = info->allocationSize;
  for (const auto& [handle, bytes] : allocated) sum += bytes;
  const auto most = number("CORVID_MOST_BYTES");
  if (most && sum > *most) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  const VkResult result = allocate_.real(device, info, callbacks, memory);
  if (result == VK_SUCCESS) allocated[*memory] = info->allocationSize;
  return result;
}

void free_memory(VkDevice device, VkDeviceMemory memory, const VkAllocationCallbacks* callbacks) {
  allocated.erase(memory);
  mapped.erase(memory);
  free_.real(device, memory, callbacks);
}

VkResult map_memory(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size,
                    VkMemoryMapFlags flags, void** data) {
  const VkResult result = map_.real(device, memory, offset, size, flags, data);
  if (result == VK_SUCCESS && std::getenv("CORVID_WATCH")) {
    const auto* words = static_cast<const std::uint32_t*>(*data);
    mapped[memory] = {words, {words, words + allocated[memory] / sizeof *words}};
  }
  return result;
}

PFN_vkVoidFunction device_function(VkDevice device, const char* name) {
  const PFN_vkVoidFunction found = device_function_.real(device, name);
  const PFN_vkVoidFunction other = replace(name, found, submit_, wait_, allocate_, free_, map_);
  if (!std::getenv("CORVID_REVERSE") || other != found) return other;
  return replace(name, found, bind_, push_, dispatch_, copy_, barrier_, end_);
}

// Since the last barrier of the one command buffer that is recorded at a time.
VkPipeline bound = VK_NULL_HANDLE;
std::function<void(VkCommandBuffer)> push_again;
std::vector<std::function<void(VkCommandBuffer)>> held;

void release(VkCommandBuffer to) {
  while (!held.empty()) {
    held.back()(to);
    held.pop_back();
  }
}

void bind(VkCommandBuffer, VkPipelineBindPoint, VkPipeline pipeline) {
  bound = pipeline;
}

void push(VkCommandBuffer, VkPipelineLayout layout, VkShaderStageFlags stages, std::uint32_t offset,
          std::uint32_t size, const void* values) {
  const auto* first = static_cast<const char*>(values);
  push_again = [=, bytes = std::vector<char>(first, first + size)](VkCommandBuffer to) {
    push_.real(to, layout, stages, offset, size, bytes.data());
  };
}

void dispatch(VkCommandBuffer, std::uint32_t x, std::uint32_t y, std::uint32_t z) {
  held.push_back([=, pipeline = bound, push_these = push_again](VkCommandBuffer to) {
    bind_.real(to, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    push_these(to);
    dispatch_.real(to, x, y, z);
  });
}

void copy(VkCommandBuffer, VkBuffer from, VkBuffer there, std::uint32_t n,
          const VkBufferCopy* first) {
  held.push_back([=, regions = std::vector<VkBufferCopy>(first, first + n)](VkCommandBuffer to) {
    copy_.real(to, from, there, n, regions.data());
  });
}

void barrier(VkCommandBuffer to, VkPipelineStageFlags before, VkPipelineStageFlags after,
             VkDependencyFlags flags, std::uint32_t n, const VkMemoryBarrier* barriers,
             std::uint32_t n_buffers, const VkBufferMemoryBarrier* buffers, std::uint32_t n_images,
             const VkImageMemoryBarrier* images) {
  release(to);
  barrier_.real(to, before, after, flags, n, barriers, n_buffers, buffers, n_images, images);
}

VkResult end(VkCommandBuffer buffer) {
  release(buffer);
  return end_.real(buffer);
}

void properties(VkPhysicalDevice device, VkPhysicalDeviceProperties2* found) {
  properties_.real(device, found);
  if (const auto type = number("CORVID_DEVICE_TYPE")) {
    found->properties.deviceType = static_cast<VkPhysicalDeviceType>(*type);
  }
  if (const auto vendor = number("CORVID_VENDOR")) found->properties.vendorID = *vendor;
  auto* driver = find<VkPhysicalDeviceDriverProperties>(
      found->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES);
  if (const auto version = number("CORVID_MOLTENVK")) {
    found->properties.driverVersion = *version;
    if (driver) driver->driverID = VK_DRIVER_ID_MOLTENVK;
  }
  auto* sizes = find<VkPhysicalDeviceMaintenance3Properties>(
      found->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES);
  const auto largest = number("CORVID_LARGEST_BYTES");
  if (sizes && largest) sizes->maxMemoryAllocationSize = *largest;
}

void memory_properties(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties2* found) {
  memory_properties_.real(device, found);
  const auto free_bytes = number("CORVID_FREE_BYTES");
  auto* budget = find<VkPhysicalDeviceMemoryBudgetPropertiesEXT>(
      found->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);
  if (!free_bytes || !budget) return;
  constexpr VkDeviceSize kUsed = 1'000'000;  // by others
  for (std::uint32_t i = 0; i < found->memoryProperties.memoryHeapCount; ++i) {
    budget->heapBudget[i] = *free_bytes + kUsed;
    budget->heapUsage[i] = kUsed;
  }
}

// With the memory budget, in front.
VkResult extensions(VkPhysicalDevice device, const char* layer, std::uint32_t* n,
                    VkExtensionProperties* found) {
  if (!number("CORVID_FREE_BYTES")) return extensions_.real(device, layer, n, found);
  if (found) {
    std::strcpy(found->extensionName, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    found->specVersion = 1;
    ++found;
    --*n;
  }
  const VkResult result = extensions_.real(device, layer, n, found);
  ++*n;
  return result;
}

}  // namespace

extern "C" PFN_vkVoidFunction vkGetInstanceProcAddr(VkInstance instance, const char* name) {
  if (!real_instance_function) {
    void* loader = dlopen(std::getenv("CORVID_LOADER"), RTLD_NOW | RTLD_LOCAL);
    if (!loader) return nullptr;
    real_instance_function =
        reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(loader, "vkGetInstanceProcAddr"));
  }
  return replace(name, real_instance_function(instance, name), device_function_, properties_,
                 memory_properties_, extensions_);
}

// Words of mapped memory that were others when a submission began than before, and when it ended.
extern "C" std::uint64_t corvid_changed_words(bool by_device) {
  return changed_words[by_device ? kDevice : kCpu];
}
