// A Vulkan loader that passes everything on to the one that CORVID_LOADER names, until there is a
// file CORVID_LOSE_WHEN: from then on its devices are lost. Stands in for libvulkan.so.1.
#include <dlfcn.h>
#include <unistd.h>
#include <vulkan/vulkan_core.h>

#include <cstdlib>
#include <string_view>

namespace {

PFN_vkGetInstanceProcAddr real_instance_function = nullptr;
PFN_vkGetDeviceProcAddr real_device_function = nullptr;
PFN_vkQueueSubmit real_submit = nullptr;
PFN_vkWaitForFences real_wait = nullptr;

bool is_lost() {
  return access(std::getenv("CORVID_LOSE_WHEN"), F_OK) == 0;
}

VkResult submit(VkQueue queue, std::uint32_t n, const VkSubmitInfo* submits, VkFence fence) {
  return is_lost() ? VK_ERROR_DEVICE_LOST : real_submit(queue, n, submits, fence);
}

VkResult wait(VkDevice device, std::uint32_t n, const VkFence* fences, VkBool32 all,
              std::uint64_t timeout_ns) {
  const VkResult result = real_wait(device, n, fences, all, timeout_ns);
  return is_lost() ? VK_ERROR_DEVICE_LOST : result;
}

PFN_vkVoidFunction device_function(VkDevice device, const char* name) {
  const PFN_vkVoidFunction real = real_device_function(device, name);
  if (name == std::string_view("vkQueueSubmit")) {
    real_submit = reinterpret_cast<PFN_vkQueueSubmit>(real);
    return reinterpret_cast<PFN_vkVoidFunction>(submit);
  }
  if (name == std::string_view("vkWaitForFences")) {
    real_wait = reinterpret_cast<PFN_vkWaitForFences>(real);
    return reinterpret_cast<PFN_vkVoidFunction>(wait);
  }
  return real;
}

}  // namespace

extern "C" PFN_vkVoidFunction vkGetInstanceProcAddr(VkInstance instance, const char* name) {
  if (!real_instance_function) {
    void* loader = dlopen(std::getenv("CORVID_LOADER"), RTLD_NOW | RTLD_LOCAL);
    if (!loader) return nullptr;
    real_instance_function =
        reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(loader, "vkGetInstanceProcAddr"));
  }
  const PFN_vkVoidFunction real = real_instance_function(instance, name);
  if (name != std::string_view("vkGetDeviceProcAddr")) return real;
  real_device_function = reinterpret_cast<PFN_vkGetDeviceProcAddr>(real);
  return reinterpret_cast<PFN_vkVoidFunction>(device_function);
}
