// The kernels as code: what they may use, and that Metal's compiler would be given something.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "model/compute/vulkan/pipelines.h"
#include "model/error.h"
#include "tests/model/gpu.h"
#include "tests/scratch_folder.h"

namespace corvid::model::testing {
namespace {

namespace fs = std::filesystem;

using KernelVariant = std::pair<Kernel, Variant>;

std::vector<KernelVariant> all_variants() {
  std::vector<KernelVariant> all;
  for (int i = 0; i < kKernels * kVariants; ++i) {
    const KernelVariant one{static_cast<Kernel>(i / kVariants),
                            static_cast<Variant>(i % kVariants)};
    if (!kernel_code(one.first, one.second).empty()) all.push_back(one);
  }
  return all;
}

class VulkanShaders : public ::testing::TestWithParam<KernelVariant> {
 protected:
  // Writes the module to a file in `folder`.
  fs::path save(const fs::path& folder) const {
    const fs::path path = folder / "code.spv";
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(code_.data()),
               static_cast<std::streamsize>(code_.size_bytes()));
    return path;
  }

  Kernel kernel_ = GetParam().first;
  Variant variant_ = GetParam().second;
  std::span<const std::uint32_t> code_ = kernel_code(kernel_, variant_);
};

// The capabilities of SPIR-V that a module asks for. Source: SPIR-V specification, section 2.3.
std::set<std::uint32_t> capabilities(std::span<const std::uint32_t> code) {
  constexpr std::uint32_t kHeaderWords = 5, kOpCapability = 17;
  std::set<std::uint32_t> found;
  for (std::size_t at = kHeaderWords; at < code.size(); at += code[at] >> 16) {
    if ((code[at] & 0xFFFF) == kOpCapability) found.insert(code[at + 1]);
    if (code[at] >> 16 == 0) break;
  }
  return found;
}

TEST_P(VulkanShaders, AskForBufferAddressesAndWhatTheyAreAVariantFor) {
  constexpr std::uint32_t kShader = 1, kPhysicalStorageBufferAddresses = 5347;
  std::set<std::uint32_t> allowed = {kShader, kPhysicalStorageBufferAddresses};
  if (variant_ == Variant::subgroups) allowed.insert({61, 65, 66});  // basic, shuffle, relative
  if (variant_ == Variant::integer_dot) allowed.insert({6018, 6019});
  for (std::uint32_t capability : capabilities(code_)) {
    EXPECT_TRUE(allowed.contains(capability)) << kernel_name(kernel_) << ": " << capability;
  }
}

bool is_installed(const std::string& program) {
  return std::system(("command -v " + program + " >/dev/null").c_str()) == 0;
}

// Devices offer other sizes than the one that the tests run on.
TEST_P(VulkanShaders, AreValidForSubgroupsOfEverySize) {
  if (!is_installed("spirv-opt")) GTEST_SKIP() << "no spirv-tools";
  const ScratchFolder folder;
  const std::string in = save(folder.path()).string(), out = (folder / "of_size.spv").string();
  for (int size : {8, 16, 32, 64}) {
    const std::string constant = std::to_string(kSubgroupConstant) + ":" + std::to_string(size);
    const std::string command = "spirv-opt --set-spec-const-default-value=" + constant +
                                " --freeze-spec-const --fold-spec-const-op-composite -O " + in +
                                " -o " + out + " && spirv-val --target-env vulkan1.2 " + out;
    EXPECT_EQ(std::system(command.c_str()), 0) << kernel_name(kernel_) << ", " << size;
    if (variant_ != Variant::subgroups) break;
  }
}

// As MoltenVK has it done; empty: it cannot be.
std::string to_metal(const fs::path& code, const std::string& version) {
  const std::string out = code.string() + ".metal";
  const std::string command = "spirv-cross --msl --msl-version " + version +
                              " --msl-fixed-subgroup-size 32 " + code.string() + " >" + out;
  if (std::system(command.c_str()) != 0) return {};
  std::stringstream text;
  text << std::ifstream(out).rdbuf();
  return text.str();
}

// Multiplications in the place of dot products, which have the same operands and one more.
std::vector<std::uint32_t> without_integer_dot(std::span<const std::uint32_t> code) {
  constexpr std::uint32_t kHeaderWords = 5, kNop = 1 << 16, kMultiply = 5 << 16 | 132;
  constexpr std::uint32_t kDot = 6 << 16 | 4450;
  std::vector<std::uint32_t> changed(code.begin(), code.end());
  int dots = 0;
  for (std::size_t at = kHeaderWords; at < changed.size(); at += code[at] >> 16) {
    if (code[at] != kDot) continue;
    changed[at] = kMultiply;
    changed[at + 5] = kNop;
    ++dots;
  }
  EXPECT_GT(dots, 0);
  return changed;
}

// spirv-cross knows integer dot products since January 2024, and so does the MoltenVK that offers
// them. By an older one all that surrounds them is translated.
TEST_P(VulkanShaders, TranslateToMetal) {
  if (!is_installed("spirv-cross")) GTEST_SKIP() << "no spirv-cross";
  const std::string name(kernel_name(kernel_));
  const ScratchFolder folder;
  for (const char* version : {"20400", "30000"}) {
    std::string text = to_metal(save(folder.path()), version);
    if (text.empty() && variant_ == Variant::integer_dot) {
      const std::vector<std::uint32_t> changed = without_integer_dot(code_);
      code_ = changed;
      text = to_metal(save(folder.path()), version);
      code_ = kernel_code(kernel_, variant_);
    }
    EXPECT_NE(text.find("kernel void main0("), std::string::npos) << name;
    EXPECT_EQ(text.find("spvUnsupported"), std::string::npos) << name;
    EXPECT_EQ(text.find("unimplemented"), std::string::npos) << name;
  }
}

std::string name_of(const ::testing::TestParamInfo<KernelVariant>& info) {
  constexpr const char* kNames[] = {"", "_subgroups", "_integer_dot"};
  return std::string(kernel_name(info.param.first)) + kNames[static_cast<int>(info.param.second)];
}

INSTANTIATE_TEST_SUITE_P(All, VulkanShaders, ::testing::ValuesIn(all_variants()), name_of);

// What the program says on a GPU, under the validation layer, which would print what is wrong.
std::string bench(const std::string& options) {
  const ScratchFolder folder;
  const std::string log = (folder / "log").string();
  const std::string command =
      "ASAN_OPTIONS=detect_leaks=0 "  // the layer has leaks of its own
      "VK_LOADER_DEBUG=layer VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation "
      "VK_LAYER_SETTINGS_PATH=" CORVID_SOURCE_DIR
      "/tests/vulkan/vk_layer_settings.txt " CORVID_BINARY " bench --backend " +
      *gpu() + " --model " CORVID_TEST_MODELS "/tiny-sparse.gguf --prompt 2 --generate 2 " +
      "--repeats 1 " + options + " >" + log + " 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  return folder.get("log");
}

TEST(VulkanProgram, IsCleanUnderTheValidationLayerWhoeverHasTheExperts) {
  CORVID_NEEDS_GPU();
  constexpr const char* kLayer =
      "/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json";
  for (const auto& [experts, told] : {std::pair("none", "routed experts of 0 of 2 layers there"),
                                      {"1", "routed experts of 1 of 2 layers there"},
                                      {"all", "vulkan:"}}) {
    const std::string said = bench(std::string("--count --gpu-experts ") + experts);
    EXPECT_NE(said.find(told), std::string::npos) << said;
    EXPECT_EQ(said.find("routed experts") == std::string::npos, experts == std::string("all"));
    for (const char* counted : {"dispatches", "barriers", "submissions", "activations", "ideal"}) {
      EXPECT_NE(said.find(counted), std::string::npos) << said;
    }
    for (const char* finding : {"VUID", "UNASSIGNED", "SYNC-HAZARD", "Validation Error"}) {
      EXPECT_EQ(said.find(finding), std::string::npos) << said;
    }
    if (!fs::exists(kLayer)) continue;
    EXPECT_NE(said.find("Insert instance layer \"VK_LAYER_KHRONOS_validation\""), std::string::npos)
        << said;
  }
}

}  // namespace
}  // namespace corvid::model::testing
