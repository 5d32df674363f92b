// A GPU with little memory, and compiled kernels that are kept between runs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "model/compute/vulkan/known_memory.h"
#include "model/compute/vulkan/pipeline_cache.h"
#include "model/compute/vulkan/vulkan_backend.h"
#include "model/error.h"
#include "model/net/config.h"
#include "tests/model/gpu.h"
#include "tests/model/random_models.h"
#include "tests/scratch_folder.h"

namespace corvid::model::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMegabyte = 1'000'000;
constexpr const char* kModel = "tiny-q8_0";

std::shared_ptr<Engine> load_with(const std::string& backend, std::int64_t memory_bytes,
                                  const std::string& cache_folder = {}) {
  return Engine::load(
      open_model(kModel),
      {.backend = backend,
       .threads = 1,
       .gpu = {.memory_bytes = memory_bytes, .cache_folder = cache_folder, .any = true}});
}

bool computes(Engine& engine) {
  const auto context = engine.new_context();
  const Token tokens[] = {3, 5, 8};
  const Draw greedy;
  const Work work{context.get(), tokens, Rows::last, &greedy};
  return engine.step({&work, 1}) && context->drawn() >= 0;
}

TEST(VulkanMemory, AModelThatDoesNotFitWhereItWasWantedIsAnError) {
  CORVID_NEEDS_GPU();
  for (std::int64_t bytes : {kMegabyte, 100 * kMegabyte}) {
    try {
      load_with(*gpu(), bytes);
      FAIL() << bytes;
    } catch (const ModelError& error) {
      EXPECT_NE(std::string(error.what()).find("--gpu-memory"), std::string::npos) << error.what();
    }
  }
}

// Too little for the weights; for the device to be opened; and for what comes after the weights.
TEST(VulkanMemory, UnaskedTheCpuDoesWhatDoesNotFitAndSaysSo) {
  CORVID_NEEDS_GPU();
  for (std::int64_t bytes : {kMegabyte, 30 * kMegabyte, 100 * kMegabyte}) {
    const auto engine = load_with("auto", bytes);
    const std::string description = engine->description();
    EXPECT_EQ(description.find("vulkan"), std::string::npos) << description;
    EXPECT_NE(description.find("the GPU is not used: "), std::string::npos) << description;
    EXPECT_TRUE(computes(*engine));
  }
}

TEST(VulkanMemory, UnaskedTheGpuDoesWhatFits) {
  CORVID_NEEDS_GPU();
  const auto engine = load_with("auto", 400 * kMegabyte);
  EXPECT_NE(engine->description().find("vulkan"), std::string::npos) << engine->description();
}

TEST(VulkanMemory, LoadingTellsHowFarItIs) {
  CORVID_NEEDS_GPU();
  std::vector<double> told;
  Engine::load(open_model(kModel),
               {.backend = *gpu(), .threads = 1, .on_progress = [&told](double fraction) {
                  told.push_back(fraction);
                }});
  EXPECT_GT(told.size(), 3u);  // at least by layers
  EXPECT_TRUE(std::ranges::is_sorted(told));
  EXPECT_EQ(told.back(), 1);
}

TEST(VulkanMemory, AsManyExpertsAsFitLieOnTheGpu) {
  const WeightBytes weights{.experts = {20, 20, 20, 20}, .others = 25};
  EXPECT_EQ(weights.all(), 105);
  EXPECT_EQ(weights.layers_that_fit(124), kAllExperts);  // 85% of it
  EXPECT_EQ(weights.layers_that_fit(123), 3);
  EXPECT_EQ(weights.layers_that_fit(77), 2);
  EXPECT_EQ(weights.layers_that_fit(52), 0);
  EXPECT_TRUE(weights.others_fit(30));
  EXPECT_FALSE(weights.others_fit(29));
  EXPECT_EQ((WeightBytes{.others = 10}.layers_that_fit(12)), kAllExperts);
}

TEST(VulkanMemory, TheMemoryThereIsDecidesWhoseExpertsLieOnTheGpu) {
  CORVID_NEEDS_GPU();
  const auto made = [](std::int64_t memory_bytes) {
    const VulkanBackend backend(
        {.device = gpu_index(),
         .threads = 1,
         .memory_bytes = memory_bytes,
         .expert_layers = kExpertsThatFit,
         .weights = {.experts = {100 * kMegabyte, 100 * kMegabyte}, .others = 100 * kMegabyte}});
    return backend.expert_layers();
  };
  EXPECT_EQ(made(400 * kMegabyte), kAllExperts);
  EXPECT_EQ(made(300 * kMegabyte), 1);
  EXPECT_EQ(made(200 * kMegabyte), 0);
}

// As experts lie between the short lists of their addresses.
TEST(VulkanMemory, LargePartsLeaveNoHolesBetweenSmallOnes) {
  CORVID_NEEDS_GPU();
  constexpr VkDeviceSize kLarge = 80 << 20, kSmall = 512, kBlock = 64 << 20;
  constexpr int kPairs = 4;
  const Device device(gpu_index(), 1 << 30);
  Arena arena(device, "tests");
  std::vector<Region> small;
  for (int i = 0; i < kPairs; ++i) {
    EXPECT_EQ(arena.take(kLarge).size, kLarge);
    small.push_back(arena.take(kSmall));
  }
  EXPECT_LE(arena.bytes(), kPairs * (kLarge + kSmall) + kBlock);
  for (int i = 1; i < kPairs; ++i) {
    EXPECT_EQ(small[i].address, small[i - 1].address + kSmall);
  }
}

// The CPU's experts see 8-bit activations where the weights are quantised; here all is f32.
TEST(VulkanMemory, RoutedExpertsOnTheCpuGiveTheSameLogits) {
  CORVID_NEEDS_GPU();
  for (const char* name : {"logits-deepseek32-groups", "logits-deepseek2-flash"}) {
    const auto load = [&](const std::string& backend, int expert_layers) {
      return Engine::load(
          open_model(name),
          {.backend = backend, .threads = 2, .gpu = {.expert_layers = expert_layers}});
    };
    const auto cpu = load("cpu", -1);
    const std::vector<Token> tokens = some_tokens(24, 512);
    const auto context = cpu->new_context();
    const std::vector<float> wanted = run(*cpu, *context, tokens, 20);
    for (int expert_layers : {0, 1}) {
      const auto engine = load(*gpu(), expert_layers);
      const auto here = engine->new_context();
      EXPECT_LT(largest_difference(run(*engine, *here, tokens, 20), wanted), 1e-3)
          << name << ", " << expert_layers;
      // A decoded token's commands are recorded once here, too.
      run(*engine, *here, std::span(tokens).first(2), 1);
      constexpr int kDecoded = 2;
      const Traffic before = engine->traffic();
      run(*engine, *here, std::span(tokens).first(kDecoded), 1);
      const Traffic after = engine->traffic();
      EXPECT_EQ(after.recordings, before.recordings);
      // A row of activations each way for each layer on the CPU; where the row lies; its logits.
      const Config& c = engine->config();
      const std::int64_t rows =
          std::int64_t{4} * kDecoded * (c.layers - c.dense_layers - expert_layers) * c.dim;
      constexpr std::int64_t kPlaces = 64 * kDecoded;
      const std::int64_t up = after.bus_up_bytes - before.bus_up_bytes;
      const std::int64_t down = after.bus_down_bytes - before.bus_down_bytes;
      EXPECT_GE(up, rows);
      EXPECT_LE(up, rows + kPlaces);
      EXPECT_EQ(down, rows + std::int64_t{4} * kDecoded * c.vocab);
    }
  }
}

// A recording names buffers: it must not outlive them, whose handles may be given out again.
TEST(VulkanMemory, NothingIsReplayedWhoseMemoryHasGone) {
  CORVID_NEEDS_GPU();
  VulkanBackend backend({.device = gpu_index(), .threads = 1});
  const Tensor small = backend.add_tensor(1, 16), large = backend.add_tensor(16, 1024);
  std::vector<float> values(16 * 1024);
  const auto recordings_of_reading = [&](const Tensor& tensor) {
    const std::int64_t before = backend.traffic().recordings;
    backend.read(tensor, std::span(values).first(std::size_t(tensor.rows) * tensor.width));
    return backend.traffic().recordings - before;
  };
  EXPECT_GE(recordings_of_reading(small), 1);  // and what went up before
  EXPECT_EQ(recordings_of_reading(small), 0);
  EXPECT_EQ(recordings_of_reading(large), 1);  // into a buffer that takes the place of the first
  EXPECT_EQ(recordings_of_reading(small), 1);
  EXPECT_EQ(recordings_of_reading(small), 0);
}

std::vector<std::byte> some_bytes(std::size_t n, int value) {
  return std::vector(n, static_cast<std::byte>(value));
}

struct KnownBench {
  KnownBench() { memory.reserve(64); }

  const Device device{gpu_index()};
  const Pipelines pipelines{device, {}, {}};
  Commands commands{device, pipelines};
  KnownMemory memory{device, commands, "tests"};
};

TEST(VulkanKnownMemory, OnlyWhatTheDeviceHasNotGoesUp) {
  CORVID_NEEDS_GPU();
  KnownBench bench;
  Commands& commands = bench.commands;
  KnownMemory& memory = bench.memory;
  EXPECT_TRUE(memory.holds(0, some_bytes(64, 0)));
  const std::vector<std::byte> sevens = some_bytes(16, 7);
  EXPECT_FALSE(memory.holds(8, sevens));
  memory.update(8, sevens);
  commands.finish();
  const std::int64_t up_bytes = commands.counts().up_bytes;
  memory.update(8, sevens);
  memory.update(12, some_bytes(4, 7));
  commands.finish();
  EXPECT_EQ(commands.counts().up_bytes, up_bytes);
  memory.update(20, some_bytes(8, 1));
  commands.finish();
  EXPECT_EQ(commands.counts().up_bytes, up_bytes + 8);
  EXPECT_TRUE(memory.holds(8, some_bytes(12, 7)));
}

TEST(VulkanKnownMemory, WhatTheDeviceChangesIsUnknownUntilItIsLearnt) {
  CORVID_NEEDS_GPU();
  KnownBench bench;
  Commands& commands = bench.commands;
  KnownMemory& memory = bench.memory;
  const auto unknown = [&](VkDeviceSize at) { return !memory.holds(at, some_bytes(4, 0)); };
  memory.expect_change(8, 8);
  EXPECT_TRUE(!unknown(4) && unknown(8) && unknown(12) && !unknown(16));
  memory.learn(8, some_bytes(8, 0));
  EXPECT_TRUE(!unknown(8) && !unknown(12));
  memory.expect_change(8, 12);
  memory.update(8, some_bytes(4, 0));  // goes up, though the same was there
  EXPECT_EQ(commands.pending(), 1u);
  commands.finish();
  EXPECT_TRUE(!unknown(8) && unknown(12) && unknown(16));
  memory.update(16, some_bytes(4, 0));
  commands.finish();
  EXPECT_TRUE(unknown(12) && !unknown(16));
  memory.update(0, some_bytes(64, 0));
  EXPECT_TRUE(!unknown(12));
  commands.finish();
}

class PipelineCache : public ::testing::Test {
 protected:
  PipelineCache() {
    device_.vendorID = 0x10DE;
    device_.deviceID = 0x2204;
    std::memset(device_.pipelineCacheUUID, 7, VK_UUID_SIZE);
  }

  std::vector<std::byte> data() const {
    VkPipelineCacheHeaderVersionOne header{sizeof header,
                                           VK_PIPELINE_CACHE_HEADER_VERSION_ONE,
                                           device_.vendorID,
                                           device_.deviceID,
                                           {}};
    std::memcpy(header.pipelineCacheUUID, device_.pipelineCacheUUID, VK_UUID_SIZE);
    std::vector<std::byte> bytes(sizeof header + 100, std::byte{42});
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
  }
  PipelineCacheFile file(std::uint64_t kernels = 1) const { return {folder_, device_, kernels}; }

  ScratchFolder scratch_;
  fs::path folder_ = scratch_ / "below";  // is made when it is needed
  VkPhysicalDeviceProperties device_{};
};

TEST_F(PipelineCache, WhatWasWrittenIsRead) {
  EXPECT_TRUE(file().read().empty());
  ASSERT_TRUE(file().write(data()));
  EXPECT_EQ(file().read(), data());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);  // no draft is left
}

TEST_F(PipelineCache, OtherKernelsDevicesAndDriversReadNothing) {
  const std::vector<std::byte> written = data();
  ASSERT_TRUE(file().write(written));
  EXPECT_TRUE(file(2).read().empty());
  const fs::path path = file().path();
  for (const auto change : {+[](VkPhysicalDeviceProperties& d) { ++d.vendorID; },
                            +[](VkPhysicalDeviceProperties& d) { ++d.deviceID; },
                            +[](VkPhysicalDeviceProperties& d) { ++d.pipelineCacheUUID[3]; }}) {
    const VkPhysicalDeviceProperties here = device_;
    change(device_);
    EXPECT_NE(file().path(), path);
    fs::copy_file(path, file().path());  // even under its name
    EXPECT_TRUE(file().read().empty());
    device_ = here;
  }
}

TEST_F(PipelineCache, AFileThatIsCutOrChangedIsNotRead) {
  ASSERT_TRUE(file().write(data()));
  const auto size = fs::file_size(file().path());
  std::fstream(file().path(), std::ios::binary | std::ios::in | std::ios::out)
      .seekp(static_cast<std::streamoff>(size) - 1)
      .put(1);
  EXPECT_TRUE(file().read().empty());
  ASSERT_TRUE(file().write(data()));
  for (std::uintmax_t cut : {size - 1, std::uintmax_t{40}, std::uintmax_t{3}, std::uintmax_t{0}}) {
    fs::resize_file(file().path(), cut);
    EXPECT_TRUE(file().read().empty()) << cut;
  }
}

// One that was not read would be written anew, as another file of the same name.
TEST_F(PipelineCache, ARunLeavesOneAndTheNextUsesIt) {
  CORVID_NEEDS_GPU();
  ASSERT_TRUE(computes(*load_with(*gpu(), 0, folder_.string())));
  ASSERT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
  const fs::path written = *fs::directory_iterator(folder_), first = scratch_ / "first";
  fs::create_hard_link(written, first);
  ASSERT_TRUE(computes(*load_with(*gpu(), 0, folder_.string())));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
  EXPECT_TRUE(fs::equivalent(written, first));
}

}  // namespace
}  // namespace corvid::model::testing
