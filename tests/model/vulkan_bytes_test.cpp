// The bytes that the kernels read and write for a decoded token, counted access by access, against
// the formula that `corvid bench --count` prints.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <numeric>

#include "model/compute/vulkan/vulkan_backend.h"
#include "model/net/transformer.h"
#include "tests/model/gpu.h"
#include "tests/model/memory_probe.h"
#include "tests/model/random_models.h"

namespace corvid::model::testing {
namespace {

// Waits after each operation and adds up what its kernels noted, so that the list of addresses need
// not hold a whole token's.
class ProbedBackend final : public VulkanBackend {
 public:
  ProbedBackend(const GgufFile& file, const Config& config, std::uint32_t room)
      : VulkanBackend(
            {.device = gpu_index(),
             .threads = 2,
             .precision = precision_of(file),
             .memory_bytes = 64'000'000'000,
             .expert_layers = kAllExperts,
             .rewrite =
                 [this](const Device& device, Kernel kernel, std::span<const std::uint32_t> code) {
                   if (!probe_) probe_ = std::make_unique<MemoryProbe>(room_);
                   return probe_->rewrite(device, kernel, code);
                 }}),
        room_(room),
        nothing_(add_tensor(1, config.dim)) {}

  // From now on operations follow each other as they do without a probe.
  void stop() { stopped_ = true; }
  const std::map<Kernel, ProbedBytes>& bytes() const { return bytes_; }
  std::int64_t counted() const {
    std::int64_t sum = 0;
    for (const auto& [kernel, bytes] : bytes_) sum += bytes.read + bytes.written;
    return sum;
  }

  void embed(const Matrix& table, const Tensor& x) override {
    VulkanBackend::embed(table, x);
    collect();
  }
  void project(const Tensor& x, const Norm* norm, std::span<const Projection> outs) override {
    VulkanBackend::project(x, norm, outs);
    collect();
  }
  void store(const KvRows& rows) override {
    VulkanBackend::store(rows);
    collect();
  }
  void store_and_select(const KvRows& rows, const IndexQuery& query) override {
    VulkanBackend::store_and_select(rows, query);
    collect();
  }
  void attend(const LatentAttention& attention) override {
    VulkanBackend::attend(attention);
    collect();
  }
  void feed_forward(const Tensor& x, const Norm& norm, const GatedFfn& ffn) override {
    VulkanBackend::feed_forward(x, norm, ffn);
    collect();
  }
  void mix_experts(const Tensor& x, const Norm& norm, const Router& router, const GatedFfn& experts,
                   const GatedFfn& shared) override {
    VulkanBackend::mix_experts(x, norm, router, experts, shared);
    collect();
  }
  void draw(const Tensor& logits, int first_row, std::span<const Draw> draws,
            std::span<Token> out) override {
    VulkanBackend::draw(logits, first_row, draws, out);
    collect();
  }

 private:
  void collect() {
    if (stopped_) return;
    std::vector<float> values(nothing_.width);
    read(nothing_, values);  // the device is idle afterwards
    if (!probe_) return;
    for (const auto& [kernel, bytes] : probe_->bytes()) {
      bytes_[kernel].read += bytes.read;
      bytes_[kernel].written += bytes.written;
    }
    probe_->clear();
  }

  std::unique_ptr<MemoryProbe> probe_;
  std::uint32_t room_;
  Tensor nothing_;
  std::map<Kernel, ProbedBytes> bytes_;
  bool stopped_ = false;
};

// A token after `past` others is decoded: what the kernels touch is what the formula says, and
// little more than has to be read.
void expect_bytes_of_the_formula(const GgufFile& file, int past, std::uint32_t room) {
  const Config config = read_config(file);
  ProbedBackend backend(file, config, room);
  const Weights weights = load_weights(file, config, backend, {});
  Transformer transformer(config, weights, backend, 64);
  // What the earlier tokens have left does not change what is read of it.
  std::vector<int> pages((past + 1 + kPageTokens) / kPageTokens);
  std::iota(pages.begin(), pages.end(), 0);
  backend.reserve_pages(static_cast<int>(pages.size()));
  const std::vector<std::byte> earlier(backend.page_bytes(kPageTokens));
  for (int page : pages) backend.write_page(page, kPageTokens, earlier.data());
  const Draw greedy;
  Wanted wanted{.row = 0, .draw = &greedy, .token = 7};
  const auto decode = [&](int position) {
    const Token token = wanted.token;
    const Sequence sequence{pages, position, 1};
    return transformer.forward({{&token, 1}, {&sequence, 1}}, {&wanted, 1}, {});
  };
  const Traffic before = backend.traffic();
  ASSERT_TRUE(decode(past));
  const Traffic probed = backend.traffic();
  backend.stop();
  ASSERT_TRUE(decode(past + 1));
  const Traffic after = backend.traffic();

  const std::int64_t formula = probed.weight_bytes - before.weight_bytes + probed.cache_bytes -
                               before.cache_bytes + probed.activation_bytes -
                               before.activation_bytes;
  const std::int64_t ideal = probed.ideal_bytes - before.ideal_bytes;
  const std::int64_t dispatches = after.dispatches - probed.dispatches;
  const std::int64_t submissions = after.submissions - probed.submissions;
  const std::int64_t up = after.bus_up_bytes - probed.bus_up_bytes;
  const std::int64_t down = after.bus_down_bytes - probed.bus_down_bytes;
  const auto number = [](std::int64_t n) { return std::to_string(n); };
  std::printf("depth %d: %s dispatches, %s barriers, %s submissions\n", past,
              number(dispatches).c_str(), number(after.barriers - probed.barriers).c_str(),
              number(submissions).c_str());
  std::printf("bus: %s bytes up, %s down\n", number(up).c_str(), number(down).c_str());
  std::printf("bytes: %s counted, %s by the formula, %s ideal\n", number(backend.counted()).c_str(),
              number(formula).c_str(), number(ideal).c_str());
  for (const auto& [kernel, bytes] : backend.bytes()) {
    std::printf("  %-10s %12s read %12s written\n", std::string(kernel_name(kernel)).c_str(),
                number(bytes.read).c_str(), number(bytes.written).c_str());
  }
  EXPECT_NEAR(double(backend.counted()), double(formula), 0.02 * double(formula));
  EXPECT_LE(double(backend.counted()), 1.10 * double(ideal));
  EXPECT_LE(dispatches, 14 * config.layers + 3);  // embedding, head, draw
  EXPECT_LE(submissions, 2);
  EXPECT_EQ(up, 0);
  EXPECT_EQ(down, 4);  // the token
}

TEST(VulkanBytes, OfATokenAreThoseOfTheFormula) {
  CORVID_NEEDS_GPU();
  expect_bytes_of_the_formula(*open_model("tiny-sparse"), 20, 1 << 22);
}

// Not for CI, which has no file of gigabytes: minutes, and 5 GB of memory for the `bench` model.
TEST(VulkanBytes, OfAFileThatIsNamedAreThoseOfTheFormula) {
  CORVID_NEEDS_GPU();
  const char* file = std::getenv("CORVID_COUNT_MODEL");
  const char* depth = std::getenv("CORVID_COUNT_DEPTH");
  if (!file) GTEST_SKIP() << "CORVID_COUNT_MODEL names the file, CORVID_COUNT_DEPTH the depth";
  expect_bytes_of_the_formula(*GgufFile::open(file), depth ? std::atoi(depth) : 0, 1 << 27);
}

// 64 rows of a prompt: in batches that are too small for tiles, and in one that is not.
TEST(VulkanPrefill, ATileOfRowsReadsTheWeightsOnce) {
  CORVID_NEEDS_GPU();
  constexpr int kRows = 64, kColumns = 512, kOutputs = 256, kSmall = 16;
  MemoryProbe* noting = nullptr;
  VulkanBackend backend({.device = gpu_index(),
                         .threads = 1,
                         .precision = Precision::fast,
                         .rewrite = [&noting](const Device& device, Kernel kernel,
                                              std::span<const std::uint32_t> code) {
                           return noting->rewrite(device, kernel, code);
                         }});
  MemoryProbe probe;
  noting = &probe;
  const std::vector<std::byte> data(row_bytes(Type::q8_0, kColumns) * kOutputs);
  const Matrix matrix =
      backend.add_matrix({"test", Type::q8_0, {kColumns, kOutputs}, data.data(), data.size()});
  const Tensor x = backend.add_tensor(kRows, kColumns), y = backend.add_tensor(kRows, kOutputs);
  std::vector<float> result(std::size_t(kRows) * kOutputs);
  struct Read {
    std::int64_t formula = 0, loaded = 0;
  };
  const auto multiply_in_batches_of = [&](int n) {
    const std::int64_t before = backend.traffic().weight_bytes;
    probe.clear();
    for (int first = 0; first < kRows; first += n) {
      const Projection out{.weight = matrix, .out = y.slice(first, n)};
      backend.project(x.slice(first, n), nullptr, {&out, 1});
    }
    backend.read(y, result);
    Read read{.formula = backend.traffic().weight_bytes - before};
    for (const auto& [kernel, bytes] : probe.bytes()) read.loaded += bytes.loaded;
    return read;
  };
  multiply_in_batches_of(kSmall);  // the probe's memory is made here
  const Read small = multiply_in_batches_of(kSmall), large = multiply_in_batches_of(kRows);
  EXPECT_EQ(small.formula, 8 * large.formula);  // eight tiles of eight rows, and one of 64
  EXPECT_GT(small.loaded, 20 * large.loaded);
  RecordProperty("loaded", std::to_string(small.loaded) + " and " + std::to_string(large.loaded));
}

}  // namespace
}  // namespace corvid::model::testing
