#include "model/compute/vulkan/pipelines.h"

#include <xxhash.h>

#include "model/compute/vulkan/kernels.inc"

namespace corvid::model {

std::string_view kernel_name(Kernel kernel) {
  return kCode[static_cast<int>(kernel)].name;
}

std::span<const std::uint32_t> kernel_code(Kernel kernel, Variant variant) {
  return kCode[static_cast<int>(kernel)].variants[static_cast<int>(variant)];
}

Variant choose_variant(Kernel kernel, const Abilities& abilities) {
  const auto has = [kernel](Variant variant) { return !kernel_code(kernel, variant).empty(); };
  if (abilities.subgroup_size != Abilities::kNone && has(Variant::subgroups)) {
    return Variant::subgroups;
  }
  const bool dot = abilities.integer_dot != Abilities::kNone && has(Variant::integer_dot);
  return dot ? Variant::integer_dot : Variant::plain;
}

namespace {

std::uint64_t hash_of_kernels() {
  std::uint64_t hash = 0;
  for (const Code& code : kCode) {
    for (std::span<const std::uint32_t> words : code.variants) {
      hash = XXH3_64bits_withSeed(words.data(), words.size_bytes(), hash);
    }
  }
  return hash;
}

}  // namespace

Pipelines::Pipelines(const Device& device, const std::string& cache_folder, RewriteKernel rewrite)
    : device_(device),
      rewrite_(std::move(rewrite)),
      file_(cache_folder, device.properties(), hash_of_kernels()) {
  const DeviceFunctions& vk = device.vk();
  const VkPushConstantRange range{VK_SHADER_STAGE_COMPUTE_BIT, 0, kPushBytes};
  const VkPipelineLayoutCreateInfo layout{.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                          .pushConstantRangeCount = 1,
                                          .pPushConstantRanges = &range};
  check(vk.vkCreatePipelineLayout(device.handle(), &layout, nullptr, &layout_), "kernels");
  const std::vector<std::byte> known = file_.read();
  read_bytes_ = known.size();
  const VkPipelineCacheCreateInfo cache{.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                        .initialDataSize = known.size(),
                                        .pInitialData = known.data()};
  check(vk.vkCreatePipelineCache(device.handle(), &cache, nullptr, &cache_), "kernels");
}

Pipelines::~Pipelines() {
  const DeviceFunctions& vk = device_.vk();
  save();
  for (const auto& [key, pipeline] : made_) {
    vk.vkDestroyPipeline(device_.handle(), pipeline, nullptr);
  }
  for (VkShaderModule module : modules_) {
    vk.vkDestroyShaderModule(device_.handle(), module, nullptr);
  }
  vk.vkDestroyPipelineCache(device_.handle(), cache_, nullptr);
  vk.vkDestroyPipelineLayout(device_.handle(), layout_, nullptr);
}

// What the driver has compiled now and had not read.
void Pipelines::save() {
  if (file_.path().empty()) return;
  const DeviceFunctions& vk = device_.vk();
  std::size_t size = 0;
  if (vk.vkGetPipelineCacheData(device_.handle(), cache_, &size, nullptr) < 0) return;
  std::vector<std::byte> data(size);
  if (vk.vkGetPipelineCacheData(device_.handle(), cache_, &size, data.data()) < 0) return;
  data.resize(size);
  if (size != read_bytes_) file_.write(data);
}

VkShaderModule Pipelines::module_of(Kernel kernel, Variant variant) {
  VkShaderModule& module = modules_[static_cast<int>(kernel)];
  if (module) return module;
  std::span<const std::uint32_t> code = kernel_code(kernel, variant);
  std::vector<std::uint32_t> rewritten;
  if (rewrite_) code = rewritten = rewrite_(device_, kernel, code);
  const VkShaderModuleCreateInfo info{.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                      .codeSize = code.size_bytes(),
                                      .pCode = code.data()};
  check(device_.vk().vkCreateShaderModule(device_.handle(), &info, nullptr, &module), "a kernel");
  return module;
}

VkPipeline Pipelines::get(Kernel kernel, std::span<const std::uint32_t> constants) {
  std::vector<std::uint32_t> key{static_cast<std::uint32_t>(kernel)};
  key.insert(key.end(), constants.begin(), constants.end());
  VkPipeline& pipeline = made_[key];
  if (pipeline) return pipeline;
  const DeviceFunctions& vk = device_.vk();
  const Variant variant = choose_variant(kernel, device_.abilities());
  const bool subgroups = variant == Variant::subgroups;
  std::vector<std::uint32_t> values(constants.begin(), constants.end());
  std::vector<VkSpecializationMapEntry> entries(constants.size());
  for (std::uint32_t i = 0; i < entries.size(); ++i) entries[i] = {i, 4 * i, 4};
  const auto size = static_cast<std::uint32_t>(device_.abilities().subgroup_size);
  if (subgroups) {
    entries.push_back({kSubgroupConstant, static_cast<std::uint32_t>(4 * values.size()), 4});
    values.push_back(size);
  }
  const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo required{
      .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
      .requiredSubgroupSize = size};
  const VkSpecializationInfo specialization{
      .mapEntryCount = static_cast<std::uint32_t>(entries.size()),
      .pMapEntries = entries.data(),
      .dataSize = 4 * values.size(),
      .pData = values.data()};
  constexpr VkPipelineShaderStageCreateFlags kFull =
      VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
  const VkComputePipelineCreateInfo info{
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .pNext = subgroups ? &required : nullptr,
                .flags = subgroups ? kFull : VkPipelineShaderStageCreateFlags{},
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module_of(kernel, variant),
                .pName = "main",
                .pSpecializationInfo = &specialization},
      .layout = layout_};
  check(vk.vkCreateComputePipelines(device_.handle(), cache_, 1, &info, nullptr, &pipeline),
        "compiling a kernel");
  return pipeline;
}

}  // namespace corvid::model
