// The forward pass against float64 references (tests/vectors/reference_logits.py), by every kernel
// set that this machine can run.
#include <gtest/gtest.h>

#include "model/compute/cpu/kernels.h"
#include "model/error.h"
#include "tests/model/random_models.h"

namespace corvid::model::testing {
namespace {

constexpr double kBound = 1e-4;
// Between the absorbed form of attention, which short chunks take, and the expanded one.
constexpr double kFormBound = 2e-5;

std::vector<std::string> kernel_sets() {
  std::vector<std::string> sets;
  for (const char* name : {"scalar", "avx2", "avxvnni", "avx512", "amx", "neon", "neondot"}) {
    try {
      sets.emplace_back(choose_kernels(name).name);
    } catch (const ModelError&) {
    }
  }
  return sets;
}

using Case = std::tuple<const char*, std::string>;  // vector, kernels

class Logits : public ::testing::TestWithParam<Case> {};

TEST_P(Logits, AgreeWithTheReferenceInChunksOfAnySize) {
  const auto& [name, kernels] = GetParam();
  const nlohmann::json vector = load_vector(name);
  const auto tokens = vector["ids"].get<std::vector<Token>>();
  const auto engine = load_model(name, kernels);
  const std::size_t vocab = engine->vocab_size();
  std::vector<float> whole, single;
  for (int chunk : {512, 1, 7, 64}) {
    const auto context = engine->new_context();
    const std::vector<float> logits = run(*engine, *context, tokens, chunk);
    EXPECT_LT(difference_from(vector, logits, vocab), kBound) << "chunks of " << chunk;
    if (chunk == 512) whole = logits;
    if (chunk == 1) single = logits;
    EXPECT_LT(largest_difference(logits, whole), kFormBound) << "chunks of " << chunk;
    if (chunk == 7) {
      EXPECT_EQ(logits, single);  // to the bit
    }
  }
}

TEST_P(Logits, AgreeWithTheReferenceWhereverTheContextHasBeen) {
  const auto& [name, kernels] = GetParam();
  const nlohmann::json vector = load_vector(name);
  const auto tokens = vector["ids"].get<std::vector<Token>>();
  const auto engine = load_model(name, kernels);
  const std::size_t vocab = engine->vocab_size(), skipped = tokens.size() / 2;
  const std::vector<float> logits = run_about(*engine, tokens);
  EXPECT_LT(difference_from(vector, logits, vocab, skipped), kBound);
}

INSTANTIATE_TEST_SUITE_P(
    Vectors, Logits,
    ::testing::Combine(::testing::Values("logits-deepseek32", "logits-deepseek32-groups",
                                         "logits-deepseek2-lite", "logits-deepseek2-v3",
                                         "logits-deepseek2-groups", "logits-deepseek2-flash",
                                         "logits-deepseek2-old"),
                       ::testing::ValuesIn(kernel_sets())),
    [](const ::testing::TestParamInfo<Case>& info) {
      std::string name = std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
      std::ranges::replace(name, '-', '_');
      return name;
    });

}  // namespace
}  // namespace corvid::model::testing
