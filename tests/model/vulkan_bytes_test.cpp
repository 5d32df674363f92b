// The bytes that the kernels read and write for a decoded token, counted access by access, against
// the formula that `corvid bench --count` prints.
#include <gtest/gtest.h>

#include "model/compute/vulkan/vulkan_backend.h"
#include "model/net/transformer.h"
#include "tests/model/gpu.h"
#include "tests/model/memory_probe.h"
#include "tests/model/random_models.h"

namespace corvid::model::testing {
namespace {

class VulkanBytes : public ::testing::TestWithParam<const char*> {};

TEST_P(VulkanBytes, OfATokenAreThoseOfTheFormula) {
  CORVID_NEEDS_GPU();
  constexpr int kPrompt = 20;
  const auto file = open_model(GetParam());
  const Config config = read_config(*file);
  MemoryProbe* noting = nullptr;
  VulkanBackend backend({.device = std::stoi(gpu()->substr(gpu()->find(':') + 1)),
                         .threads = 1,
                         .precision = precision_of(*file),
                         .rewrite = [&noting](const Device& device, Kernel kernel,
                                              std::span<const std::uint32_t> code) {
                           return noting->rewrite(device, kernel, code);
                         }});
  MemoryProbe probe;
  noting = &probe;
  const Weights weights = load_weights(*file, config, backend, {});
  Transformer transformer(config, weights, backend, 64);
  backend.reserve_pages(1);
  const std::vector<Token> tokens = some_tokens(kPrompt + 1, config.vocab);
  const int pages[] = {0};
  const Draw greedy;
  const auto step = [&](int past, int n) {
    const Sequence sequence{pages, past, n};
    Wanted wanted{.row = n - 1, .draw = &greedy};
    ASSERT_TRUE(transformer.forward({std::span(tokens).subspan(past, n), {&sequence, 1}},
                                    {&wanted, 1}, {}));
  };
  step(0, kPrompt);
  const Traffic before = backend.traffic();
  probe.clear();
  step(kPrompt, 1);
  const Traffic after = backend.traffic();

  std::int64_t counted = 0;
  for (const auto& [kernel, bytes] : probe.bytes()) {
    counted += bytes.read + bytes.written;
    RecordProperty(std::string(kernel_name(kernel)),
                   std::to_string(bytes.read) + " + " + std::to_string(bytes.written));
  }
  const std::int64_t formula = after.weight_bytes - before.weight_bytes + after.cache_bytes -
                               before.cache_bytes + after.activation_bytes -
                               before.activation_bytes;
  EXPECT_NEAR(double(counted), double(formula), 0.02 * double(formula));
}

INSTANTIATE_TEST_SUITE_P(Some, VulkanBytes, ::testing::Values("tiny-sparse"), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace corvid::model::testing
