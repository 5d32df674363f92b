// The kernels as code: what they may use, and that Metal's compiler would be given something.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "model/compute/vulkan/pipelines.h"
#include "tests/model/gpu.h"
#include "tests/scratch_folder.h"

namespace corvid::model::testing {
namespace {

namespace fs = std::filesystem;

class VulkanShaders : public ::testing::TestWithParam<int> {
 protected:
  Kernel kernel_ = static_cast<Kernel>(GetParam());
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

TEST_P(VulkanShaders, AskForBufferAddressesAndNothingElse) {
  constexpr std::uint32_t kShader = 1, kPhysicalStorageBufferAddresses = 5347;
  for (std::uint32_t capability : capabilities(kernel_code(kernel_))) {
    EXPECT_TRUE(capability == kShader || capability == kPhysicalStorageBufferAddresses)
        << kernel_name(kernel_) << ": " << capability;
  }
}

TEST_P(VulkanShaders, TranslateToMetal) {
  if (std::system("command -v spirv-cross >/dev/null") != 0) GTEST_SKIP() << "no spirv-cross";
  const std::string name(kernel_name(kernel_));
  const fs::path folder = fs::path(::testing::TempDir()) / ("corvid-msl-" + name);
  fs::create_directories(folder);
  const std::span<const std::uint32_t> code = kernel_code(kernel_);
  std::ofstream(folder / "code.spv", std::ios::binary)
      .write(reinterpret_cast<const char*>(code.data()),
             static_cast<std::streamsize>(code.size_bytes()));
  for (const char* version : {"20400", "30000"}) {
    const std::string out = (folder / "code.metal").string();
    const std::string command = "spirv-cross --msl --msl-version " + std::string(version) + " " +
                                (folder / "code.spv").string() + " >" + out;
    EXPECT_EQ(std::system(command.c_str()), 0) << name;
    std::stringstream text;
    text << std::ifstream(out).rdbuf();
    EXPECT_NE(text.str().find("kernel void main0("), std::string::npos) << name;
    EXPECT_EQ(text.str().find("spvUnsupported"), std::string::npos) << name;
  }
  fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(All, VulkanShaders, ::testing::Range(0, kKernels), [](const auto& info) {
  return std::string(kernel_name(static_cast<Kernel>(info.param)));
});

// A whole model under the validation layer, which prints what it finds wrong.
void expect_clean(const std::string& arguments) {
  const fs::path layer = "/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json";
  if (!fs::exists(layer)) GTEST_SKIP() << "no validation layer";
  const ScratchFolder folder;
  const std::string log = (folder / "log").string();
  const std::string command =
      "VK_LOADER_DEBUG=layer VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation " CORVID_BINARY " " +
      arguments + " --backend " + *gpu() + " >" + log + " 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::stringstream text;
  text << std::ifstream(log).rdbuf();
  const std::string said = text.str();
  EXPECT_NE(said.find("Insert instance layer \"VK_LAYER_KHRONOS_validation\""), std::string::npos);
  for (const char* finding : {"VUID", "UNASSIGNED", "Validation Error", "Validation Warning"}) {
    EXPECT_EQ(said.find(finding), std::string::npos) << said;
  }
}

TEST(VulkanValidation, LogitsInTwoChunksAreClean) {
  CORVID_NEEDS_GPU();
  const ScratchFolder folder;
  folder.put("tokens", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20\n");
  expect_clean("logits --model " CORVID_TEST_MODELS "/logits-deepseek32.gguf --chunk 19 --tokens " +
               (folder / "tokens").string() + " --out " + (folder / "out").string());
}

TEST(VulkanValidation, DecodingWithExpertsOnTheCpuIsClean) {
  CORVID_NEEDS_GPU();
  expect_clean("bench --model " CORVID_TEST_MODELS
               "/tiny-sparse.gguf --prompt 2 --generate 2 --repeats 1 --gpu-experts 1");
}

}  // namespace
}  // namespace corvid::model::testing
