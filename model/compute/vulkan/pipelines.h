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
  down_tiled,
  draw,
  embed,
  gate,
  gate_tiled,
  group_pairs,
  merge,
  multiply,
  multiply_tiled,
  route,
  score,
  store,
  top_k,
};
inline constexpr int kKernels = 17;
inline constexpr std::uint32_t kPushBytes = 128;

// Some kernels are there more than once: with shuffles among subgroups of a given size, or with
// integer dot products. The plain ones run everywhere, and all give the same bits.
enum class Variant { plain, subgroups, integer_dot };
inline constexpr int kVariants = 3;
inline constexpr std::uint32_t kSubgroupConstant = 31;  // which constant is the subgroups' size

std::string_view kernel_name(Kernel kernel);
// The one that a device with these abilities loads.
Variant choose_variant(Kernel kernel, const Abilities& abilities);
// SPIR-V; empty: there is no such variant.
std::span<const std::uint32_t> kernel_code(Kernel kernel, Variant variant);

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
  VkShaderModule module_of(Kernel kernel, Variant variant);
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
