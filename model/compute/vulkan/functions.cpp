#include "model/compute/vulkan/functions.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "model/error.h"

namespace corvid::model {
namespace {

// On a Mac Homebrew's, whose folder is not searched; without a loader the driver itself will do.
constexpr const char* kLoaders[] = {
#ifdef __APPLE__
    "libvulkan.1.dylib",
    "/opt/homebrew/lib/libvulkan.1.dylib",
    "libMoltenVK.dylib",
    "/opt/homebrew/lib/libMoltenVK.dylib",
#else
    "libvulkan.so.1",
    "libvulkan.so",
#endif
};

// Stays open: drivers do not like to be unloaded.
PFN_vkGetInstanceProcAddr open_loader() {
  static const PFN_vkGetInstanceProcAddr entry = []() -> PFN_vkGetInstanceProcAddr {
    for (const char* name : kLoaders) {
      void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
      if (!library) continue;
      void* found = dlsym(library, "vkGetInstanceProcAddr");
      if (found) return reinterpret_cast<PFN_vkGetInstanceProcAddr>(found);
    }
    return nullptr;
  }();
  return entry;
}

template <class Function>
Function global_function(PFN_vkGetInstanceProcAddr entry, const char* name) {
  return reinterpret_cast<Function>(entry(VK_NULL_HANDLE, name));
}

// Devices that are not fully conformant, as those on Metal, are listed only on request.
bool has_portability(PFN_vkGetInstanceProcAddr entry) {
  const auto enumerate = global_function<PFN_vkEnumerateInstanceExtensionProperties>(
      entry, "vkEnumerateInstanceExtensionProperties");
  std::uint32_t n = 0;
  if (!enumerate || enumerate(nullptr, &n, nullptr) != VK_SUCCESS) return false;
  std::vector<VkExtensionProperties> extensions(n);
  enumerate(nullptr, &n, extensions.data());
  for (const VkExtensionProperties& extension : extensions) {
    if (!std::strcmp(extension.extensionName, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME)) {
      return true;
    }
  }
  return false;
}

std::string result_text(VkResult result) {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return "out of memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return "out of device memory";
    case VK_ERROR_DEVICE_LOST:
      return "the device was lost";
    case VK_ERROR_INCOMPATIBLE_DRIVER:
      return "no driver is installed";
    default:
      return "error " + std::to_string(result);
  }
}

}  // namespace

InstanceFunctions open_vulkan() {
  const PFN_vkGetInstanceProcAddr entry = open_loader();
  if (!entry) {
    throw ModelError(
        "Vulkan is not installed: libvulkan.so.1 was not found. Install the driver of your GPU "
        "and the Vulkan loader (Debian: libvulkan1 and, for AMD and Intel, "
        "mesa-vulkan-drivers)");
  }
  const bool portability = has_portability(entry);
  const char* extension = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
  const VkApplicationInfo application{.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                      .pApplicationName = "corvid",
                                      .apiVersion = VK_API_VERSION_1_2};
  const VkInstanceCreateInfo info{
      .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
      .flags = portability ? std::uint32_t{VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR} : 0u,
      .pApplicationInfo = &application,
      .enabledExtensionCount = portability ? 1u : 0u,
      .ppEnabledExtensionNames = &extension};
  InstanceFunctions vk;
  vk.vkGetInstanceProcAddr = entry;
  const auto create = global_function<PFN_vkCreateInstance>(entry, "vkCreateInstance");
  check(create(&info, nullptr, &vk.instance), "starting Vulkan");
#define CORVID_VK_LOAD(name) vk.name = reinterpret_cast<PFN_##name>(entry(vk.instance, #name));
  CORVID_VK_INSTANCE_FUNCTIONS(CORVID_VK_LOAD)
#undef CORVID_VK_LOAD
  return vk;
}

DeviceFunctions device_functions(const InstanceFunctions& vk, VkDevice device) {
  DeviceFunctions functions;
#define CORVID_VK_LOAD(name) \
  functions.name = reinterpret_cast<PFN_##name>(vk.vkGetDeviceProcAddr(device, #name));
  CORVID_VK_DEVICE_FUNCTIONS(CORVID_VK_LOAD)
#undef CORVID_VK_LOAD
  return functions;
}

void check(VkResult result, const char* what) {
  if (result < 0) throw ModelError(std::string(what) + ": " + result_text(result));
}

}  // namespace corvid::model
