// Devices of other kinds and with other limits than the one that the tests run on, and lost ones:
// the real back end, on a loader that says so (other_loader.cpp).
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "model/compute/make_backend.h"
#include "model/error.h"
#include "tests/model/gpu.h"
#include "tests/model/random_models.h"
#include "tests/scratch_folder.h"

namespace corvid::model::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMegabyte = 1'000'000;

// A test whose body runs in a process of its own, on another loader.
class OtherDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("CORVID_LOADER")) return;  // it may say that there is none
    CORVID_NEEDS_GPU();
#ifdef __APPLE__
    GTEST_SKIP() << "the other loader stands in for libvulkan.so.1";
#endif
  }

  // True in that process; else starts it with these variables, and it has to succeed.
  static bool is(const std::string& variables) {
    if (std::getenv("CORVID_LOADER")) return true;
    Dl_info loader{};
    void* library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library || !dladdr(dlsym(library, "vkGetInstanceProcAddr"), &loader)) std::abort();
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    const std::string command =
        "LD_LIBRARY_PATH=" CORVID_OTHER_LOADER " CORVID_LOADER=" + std::string(loader.dli_fname) +
        " " + variables + " " + fs::read_symlink("/proc/self/exe").string() +
        " --gtest_brief=1 --gtest_filter=" + test->test_suite_name() + "." + test->name();
    EXPECT_EQ(std::system(command.c_str()), 0);
    return false;
  }

  std::shared_ptr<Engine> load(const std::string& backend, const char* model = "tiny-q8_0",
                               std::int64_t memory_bytes = 0) {
    return Engine::load(open_model(model), {.backend = backend,
                                            .threads = 1,
                                            .gpu = {.memory_bytes = memory_bytes, .any = true},
                                            .on_notice = [this](const std::string& text) {
                                              notices_.push_back(text);
                                            }});
  }

  std::vector<std::string> notices_;
  std::vector<Token> tokens_ = some_tokens(70, 512), more_ = some_tokens(3, 512, 7);
};

// Lost once a file is there.
class VulkanLost : public OtherDevice {
 protected:
  static bool can_be_lost() {
    const ScratchFolder folder;
    return is("CORVID_LOSE_WHEN=" + (folder / "now").string());
  }
  static void lose() { std::ofstream(std::getenv("CORVID_LOSE_WHEN")).put('\n'); }
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

using VulkanDefault = OtherDevice;

// Where "auto" lets a model of so many bytes run.
bool goes_to_the_gpu(std::int64_t bytes, std::vector<std::int64_t> experts = {}) {
  const MadeBackend made =
      make_backend({.threads = 1, .weights = {.experts = std::move(experts), .others = bytes}});
  EXPECT_EQ(made.note, "");
  return made.backend->description().starts_with("vulkan:");
}

// VkPhysicalDeviceType: 1 is integrated, 2 discrete.
TEST_F(VulkanDefault, ADiscreteGpuRunsALargeModelThatFits) {
  if (!is("CORVID_DEVICE_TYPE=2 CORVID_FREE_BYTES=2000000000")) return;
  EXPECT_TRUE(goes_to_the_gpu(1000 * kMegabyte));
  EXPECT_FALSE(goes_to_the_gpu(1900 * kMegabyte));                     // beside what else it needs
  EXPECT_TRUE(goes_to_the_gpu(1000 * kMegabyte, {3000 * kMegabyte}));  // experts on the CPU
  EXPECT_FALSE(goes_to_the_gpu(20 * kMegabyte));                       // as the built-in one
}

TEST_F(VulkanDefault, AnIntegratedGpuRunsWhatIsAskedOfIt) {
  if (!is("CORVID_DEVICE_TYPE=1")) return;
  EXPECT_FALSE(goes_to_the_gpu(1000 * kMegabyte));
  EXPECT_TRUE(make_backend({.name = "vulkan"}).backend->description().starts_with("vulkan:"));
}

TEST_F(VulkanDefault, ApplesIntegratedGpuRunsALargeModelThatFits) {
  if (!is("CORVID_DEVICE_TYPE=1 CORVID_VENDOR=4203 CORVID_FREE_BYTES=2000000000")) return;
  EXPECT_TRUE(goes_to_the_gpu(1000 * kMegabyte));
  EXPECT_FALSE(goes_to_the_gpu(1900 * kMegabyte));
  EXPECT_FALSE(goes_to_the_gpu(20 * kMegabyte));
}

TEST_F(VulkanDefault, ASoftwareDeviceRunsWhatIsAskedOfIt) {
  if (list_devices().devices[gpu_index()].kind != DeviceKind::software) GTEST_SKIP();
  EXPECT_FALSE(goes_to_the_gpu(1000 * kMegabyte));
  EXPECT_TRUE(make_backend({.name = "vulkan"}).backend->description().starts_with("vulkan:"));
}

TEST_F(VulkanDefault, AMoltenVkThatIsTooOldIsRefused) {
  if (!is("CORVID_MOLTENVK=10211")) return;
  EXPECT_EQ(list_devices().devices[0].problem, "its MoltenVK is older than 1.3");
  EXPECT_THROW(make_backend({.name = "vulkan:0"}), ModelError);
}

TEST_F(VulkanDefault, AMoltenVkThatIsNewEnoughIsNot) {
  if (!is("CORVID_MOLTENVK=10300")) return;
  EXPECT_EQ(list_devices().devices[gpu_index()].problem, "");
}

TEST(Devices, TheBestIsOfTheBestKindAndHasTheMostFreeMemory) {
  DeviceList list;
  EXPECT_EQ(best_of(list), nullptr);
  list.devices = {{.index = 0, .kind = DeviceKind::software, .free_bytes = 90},
                  {.index = 1, .kind = DeviceKind::discrete, .free_bytes = 2},
                  {.index = 2, .kind = DeviceKind::discrete, .free_bytes = 24},
                  {.index = 3, .kind = DeviceKind::discrete, .free_bytes = 48, .problem = "old"},
                  {.index = 4, .kind = DeviceKind::integrated, .free_bytes = 64}};
  EXPECT_EQ(best_of(list)->index, 2);
}

using VulkanLimits = OtherDevice;

TEST_F(VulkanLimits, WhatIsFreeIsWhatAModelMayTake) {
  if (!is("CORVID_FREE_BYTES=90000000")) return;
  EXPECT_EQ(list_devices().devices[gpu_index()].free_bytes, 90 * kMegabyte);
  try {
    load(*gpu());
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_NE(std::string(error.what()).find("of 90 MB of GPU memory"), std::string::npos)
        << error.what();
  }
  EXPECT_NE(load(*gpu(), "tiny-q8_0", 500 * kMegabyte), nullptr);  // as the user says
}

TEST_F(VulkanLimits, AnAllocationThatIsRefusedIsAnErrorWhereTheGpuWasAskedFor) {
  if (!is("CORVID_MOST_BYTES=100000000")) return;
  try {
    load(*gpu());
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_NE(std::string(error.what()).find("out of device memory"), std::string::npos)
        << error.what();
  }
  const auto engine = load("auto");
  EXPECT_NE(engine->description().find("the GPU is not used: "), std::string::npos)
      << engine->description();
  const auto context = engine->new_context();
  EXPECT_EQ(run(*engine, *context, more_, 1).size(), more_.size() * engine->vocab_size());
}

// Of 8 or 16 experts, each of 256 KB, two lie side by side.
TEST_F(VulkanLimits, TensorsBeyondTheLargestAllocationAreCutBetweenTheirMatrices) {
  if (!is("CORVID_LARGEST_BYTES=600000")) return;
  constexpr const char* kModel = "logits-deepseek32";
  const auto engine = load(*gpu(), kModel), cpu = load("cpu", kModel);
  const auto context = engine->new_context(), expected = cpu->new_context();
  EXPECT_LT(
      largest_difference(run(*engine, *context, tokens_, 69), run(*cpu, *expected, tokens_, 69)),
      1e-4);
}

std::vector<Token> greedy(Engine& engine, std::vector<Token> tokens, int n) {
  const auto context = engine.new_context();
  std::vector<Token> drawn;
  const Draw draw;
  for (int i = 0; i < n; ++i) {
    const Work work{context.get(), tokens, Rows::last, &draw};
    EXPECT_TRUE(engine.step({&work, 1}));
    tokens = {context->drawn()};
    drawn.push_back(tokens[0]);
  }
  return drawn;
}

// Small allocations, so that a small model exceeds a small budget.
TEST_F(VulkanLimits, AModelLargerThanTheMemoryGivesTheSameTokens) {
  if (!is("CORVID_LARGEST_BYTES=1000000")) return;
  constexpr const char* kModel = "logits-deepseek32-groups";
  constexpr std::int64_t kBudget = 42 * kMegabyte;
  ASSERT_GT(fs::file_size(CORVID_TEST_MODELS + std::string("/") + kModel + ".gguf"), kBudget);
  const auto engine = load(*gpu(), kModel, kBudget);
  EXPECT_NE(engine->description().find("routed experts of 1 of 3 layers there"), std::string::npos)
      << engine->description();
  constexpr int kTokens = 12;
  const std::vector<Token> wanted = greedy(*load("cpu", kModel), tokens_, kTokens);
  EXPECT_EQ(greedy(*engine, tokens_, kTokens), wanted);
  EXPECT_EQ(greedy(*load(*gpu(), kModel), tokens_, kTokens), wanted);
}

using VulkanBus = OtherDevice;

// Whatever the back end counts: what changes in the memory that both sides see.
TEST_F(VulkanBus, OfADecodedTokenNothingButItsIdIsInTheMemoryThatBothSidesSee) {
  if (!is("CORVID_WATCH=1")) return;
  auto* const changed = reinterpret_cast<std::uint64_t (*)(bool)>(
      dlsym(dlopen("libvulkan.so.1", RTLD_NOW), "corvid_changed_words"));
  ASSERT_NE(changed, nullptr);
  struct Words {
    std::uint64_t up, down;
  };
  const auto engine = load(*gpu(), "tiny-sparse");
  const auto context = engine->new_context();
  Draw draw{.temperature = 1, .seed = 3};
  const auto words_of = [&](std::vector<Token> tokens, int n) {
    const Words before{changed(false), changed(true)};
    for (int i = 0; i < n; ++i, ++draw.nth) {
      const Work work{context.get(), tokens, Rows::last, &draw};
      EXPECT_TRUE(engine->step({&work, 1}));
      tokens = {context->drawn()};
    }
    return Words{changed(false) - before.up, changed(true) - before.down};
  };
  constexpr int kTokens = 6;
  EXPECT_GE(words_of(more_, 1).up, more_.size());
  words_of({context->drawn()}, 1);  // where the row lies goes up
  const Words decoded = words_of({context->drawn()}, kTokens);
  EXPECT_EQ(decoded.up, 0u);
  EXPECT_LE(decoded.down, kTokens);  // one that is drawn again changes nothing
  EXPECT_GE(decoded.down, 1u);
}

using VulkanOrder = OtherDevice;

// The validation layer does not see what kernels reach by addresses.
TEST_F(VulkanOrder, CommandsThatNoBarrierKeepsInOrderMayComeInAnother) {
  if (!is("CORVID_REVERSE=1")) return;
  constexpr const char* kModel = "logits-deepseek32";
  const auto cpu = load("cpu", kModel);
  const auto expected = cpu->new_context();
  const std::vector<float> wanted = run(*cpu, *expected, tokens_, 66);
  for (int experts : {kAllExperts, 1}) {
    const auto engine = Engine::load(
        open_model(kModel), {.backend = *gpu(), .threads = 1, .gpu = {.expert_layers = experts}});
    const auto context = engine->new_context();
    EXPECT_LT(largest_difference(run(*engine, *context, tokens_, 66), wanted), 1e-4) << experts;
    const auto branch = context->fork(), same = expected->fork();  // a page is copied
    EXPECT_LT(largest_difference(run(*engine, *branch, more_, 1), run(*cpu, *same, more_, 1)),
              1e-4);
    EXPECT_EQ(greedy(*engine, tokens_, 3), greedy(*cpu, tokens_, 3));
  }
}

}  // namespace
}  // namespace corvid::model::testing
