// A device that is lost while it is used: the real back end, on a loader that says so.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "model/error.h"
#include "tests/model/gpu.h"
#include "tests/model/random_models.h"
#include "tests/scratch_folder.h"

namespace corvid::model::testing {
namespace {

namespace fs = std::filesystem;

// A test whose body runs in a process of its own, where devices are lost once a file is there.
class VulkanLost : public ::testing::Test {
 protected:
  void SetUp() override {
    CORVID_NEEDS_GPU();
#ifdef __APPLE__
    GTEST_SKIP() << "the loader that loses devices stands in for libvulkan.so.1";
#endif
  }

  // True in that process; else starts it, which has to succeed.
  static bool can_be_lost() {
    if (std::getenv("CORVID_LOSE_WHEN")) return true;
    Dl_info loader{};
    void* library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library || !dladdr(dlsym(library, "vkGetInstanceProcAddr"), &loader)) std::abort();
    const ScratchFolder folder;
    const std::string command =
        "LD_LIBRARY_PATH=" CORVID_LOSING_LOADER " CORVID_LOADER=" + std::string(loader.dli_fname) +
        " CORVID_LOSE_WHEN=" + (folder / "now").string() + " " +
        fs::read_symlink("/proc/self/exe").string() +
        " --gtest_brief=1 --gtest_filter=VulkanLost." +
        ::testing::UnitTest::GetInstance()->current_test_info()->name();
    EXPECT_EQ(std::system(command.c_str()), 0);
    return false;
  }
  static void lose() {
    std::ofstream(std::getenv("CORVID_LOSE_WHEN")).put('\n');
  }

  std::shared_ptr<Engine> load(const std::string& backend, const char* model = "tiny-q8_0") {
    return Engine::load(open_model(model), {.backend = backend,
                                            .threads = 1,
                                            .gpu = {.any = true},
                                            .on_notice = [this](const std::string& text) {
                                              notices_.push_back(text);
                                            }});
  }

  std::vector<std::string> notices_;
  std::vector<Token> tokens_ = some_tokens(70, 512), more_ = some_tokens(3, 512, 7);
};

TEST_F(VulkanLost, UnaskedTheCpuGoesOnAndSaysSo) {
  if (!can_be_lost()) return;
  const auto engine = load("auto"), cpu = load("cpu");
  ASSERT_NE(engine->description().find("vulkan"), std::string::npos) << engine->description();
  const auto context = engine->new_context(), expected = cpu->new_context();
  run(*engine, *context, tokens_, 512);
  run(*cpu, *expected, tokens_, 512);
  lose();
  EXPECT_LT(largest_difference(run(*engine, *context, more_, 1), run(*cpu, *expected, more_, 1)),
            1e-3);
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_NE(notices_[0].find("the device was lost; the CPU goes on"), std::string::npos)
      << notices_[0];
}

TEST_F(VulkanLost, WhereItWasAskedForItIsAnError) {
  if (!can_be_lost()) return;
  const auto engine = load(*gpu());
  const auto context = engine->new_context();
  run(*engine, *context, tokens_, 512);
  lose();
  try {
    run(*engine, *context, more_, 1);
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_NE(std::string(error.what()).find("the device was lost"), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(context->tokens().size(), tokens_.size());
  EXPECT_TRUE(notices_.empty());
}

// Its weights are more than one window of what goes up.
TEST_F(VulkanLost, WhileAModelIsLoadedCountsTheSame) {
  if (!can_be_lost()) return;
  constexpr const char* kLarge = "logits-deepseek32";
  lose();
  EXPECT_THROW(load(*gpu(), kLarge), ModelError);
  const auto engine = load("auto", kLarge);
  EXPECT_NE(engine->description().find("the GPU is not used: "), std::string::npos)
      << engine->description();
}

}  // namespace
}  // namespace corvid::model::testing
