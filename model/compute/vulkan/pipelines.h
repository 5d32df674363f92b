// The kernels: SPIR-V that was made at build time, specialised and compiled when first used.
//
// A kernel gets addresses and sizes as push constants and nothing else, so that all pipelines share
// one layout. What a kernel is specialised for are the values of its constants 0, 1, ... Compiled
// pipelines are kept in a file between runs, per device and driver. Owned by one back end.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "model/compute/vulkan/device.h"
#include "model/compute/vulkan/pipeline_cache.h"

namespace corvid::model {

enum class Kernel {
  add_pairs,
  attend,
  copy_rows,
  down,
  down_pairs,
  draw,
  embed,
  gate,
  group_pairs,
  merge,
  multiply,
  route,
  score,
  store,
  top_k,
};
inline constexpr int kKernels = 15;
inline constexpr std::uint32_t kPushBytes = 128;

std::string_view kernel_name(Kernel kernel);
std::span<const std::uint32_t> kernel_code(Kernel kernel);  // SPIR-V

// For tests: a kernel's code on its way to the device.
using RewriteKernel = std::function<std::vector<std::uint32_t>(
    const Device& device, Kernel kernel, std::span<const std::uint32_t> code)>;

class Pipelines {
 public:
  Pipelines(const Device& device, const std::string& cache_folder, RewriteKernel rewrite);
  ~Pipelines();
  Pipelines(const Pipelines&) = delete;
  Pipelines& operator=(const Pipelines&) = delete;

  VkPipelineLayout layout() const { return layout_; }
  VkPipeline get(Kernel kernel, std::span<const std::uint32_t> constants);

 private:
  void save();

  const Device& device_;
  RewriteKernel rewrite_;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  PipelineCacheFile file_;
  std::size_t read_bytes_ = 0;  // of the file
  VkShaderModule modules_[kKernels] = {};
  std::map<std::vector<std::uint32_t>, VkPipeline> made_;  // by kernel and constants
};

}  // namespace corvid::model
