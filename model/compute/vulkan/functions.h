// The Vulkan loader, opened at run time, and the functions that we call.
//
// Nothing links with Vulkan: where the library is missing, open_vulkan() says so and the program
// runs without it. Included by the files of this folder only. Any thread.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

namespace corvid::model {

#define CORVID_VK_INSTANCE_FUNCTIONS(X)       \
  X(vkDestroyInstance)                        \
  X(vkEnumeratePhysicalDevices)               \
  X(vkGetPhysicalDeviceProperties2)           \
  X(vkGetPhysicalDeviceFeatures2)             \
  X(vkGetPhysicalDeviceMemoryProperties2)     \
  X(vkGetPhysicalDeviceQueueFamilyProperties) \
  X(vkEnumerateDeviceExtensionProperties)     \
  X(vkCreateDevice)                           \
  X(vkGetDeviceProcAddr)

#define CORVID_VK_DEVICE_FUNCTIONS(X) \
  X(vkDestroyDevice)                  \
  X(vkGetDeviceQueue)                 \
  X(vkDeviceWaitIdle)                 \
  X(vkCreateBuffer)                   \
  X(vkDestroyBuffer)                  \
  X(vkGetBufferMemoryRequirements)    \
  X(vkGetBufferDeviceAddress)         \
  X(vkAllocateMemory)                 \
  X(vkFreeMemory)                     \
  X(vkBindBufferMemory)               \
  X(vkMapMemory)                      \
  X(vkCreateShaderModule)             \
  X(vkDestroyShaderModule)            \
  X(vkCreatePipelineLayout)           \
  X(vkDestroyPipelineLayout)          \
  X(vkCreatePipelineCache)            \
  X(vkDestroyPipelineCache)           \
  X(vkGetPipelineCacheData)           \
  X(vkCreateComputePipelines)         \
  X(vkDestroyPipeline)                \
  X(vkCreateCommandPool)              \
  X(vkDestroyCommandPool)             \
  X(vkAllocateCommandBuffers)         \
  X(vkFreeCommandBuffers)             \
  X(vkBeginCommandBuffer)             \
  X(vkEndCommandBuffer)               \
  X(vkCmdBindPipeline)                \
  X(vkCmdPushConstants)               \
  X(vkCmdDispatch)                    \
  X(vkCmdCopyBuffer)                  \
  X(vkCmdPipelineBarrier)             \
  X(vkCreateFence)                    \
  X(vkDestroyFence)                   \
  X(vkResetFences)                    \
  X(vkWaitForFences)                  \
  X(vkQueueSubmit)

#define CORVID_VK_DECLARE(name) PFN_##name name = nullptr;

struct InstanceFunctions {
  VkInstance instance = VK_NULL_HANDLE;
  PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr = nullptr;
  CORVID_VK_INSTANCE_FUNCTIONS(CORVID_VK_DECLARE)
};

struct DeviceFunctions {
  CORVID_VK_DEVICE_FUNCTIONS(CORVID_VK_DECLARE)
};

// Throws ModelError that says what is missing and what to install. The caller destroys the
// instance.
InstanceFunctions open_vulkan();
DeviceFunctions device_functions(const InstanceFunctions& vk, VkDevice device);

// ModelError "WHAT: out of device memory" unless the result is a success.
void check(VkResult result, const char* what);

}  // namespace corvid::model
