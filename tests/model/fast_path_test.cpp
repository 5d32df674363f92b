// The fast path against an f32 evaluation of the same file, and against itself, for every type.
#include <gtest/gtest.h>

#include "model/compute/make_backend.h"
#include "model/engine.h"
#include "model/net/weights.h"
#include "tests/model/gguf_writer.h"
#include "tests/model/random_models.h"

namespace corvid::model::testing {
namespace {

// The fast path: what it computes differs from f32, but hardly between kernel sets or chunks.
class FastPath : public ::testing::TestWithParam<const char*> {};

TEST_P(FastPath, AgreesWithItselfHoweverItIsSteppedAndAcrossKernelSets) {
  const std::string name = std::string("tiny-") + GetParam();
  const std::vector<Token> tokens = some_tokens(80, 512);
  const auto best = load_model(name);
  const auto a = best->new_context(), b = best->new_context(), d = best->new_context();
  const std::vector<float> whole = run(*best, *a, tokens, 512), some = run(*best, *b, tokens, 13);
  EXPECT_EQ(run(*best, *d, tokens, 1), some);  // to the bit: attention takes the same form
  EXPECT_LT(mean_divergence(whole, some, best->vocab_size()), 1e-3);
  const std::size_t half = whole.size() / 2;
  EXPECT_LT(
      mean_divergence(std::span(whole).subspan(half), run_about(*best, tokens), best->vocab_size()),
      1e-3);

  const auto scalar = load_model(name, "scalar");
  const auto c = scalar->new_context();
  const std::vector<float> first = run(*scalar, *c, std::span(tokens).first(12), 512);
  const std::size_t vocab = best->vocab_size();
  EXPECT_LT(mean_divergence(first, std::span(some).first(first.size()), vocab), 1e-3);
}

// The same weights converted to f32 and computed in f32: what the file means.
TEST_P(FastPath, DivergesHardlyFromAnF32EvaluationOfTheSameFile) {
  const std::string name = std::string("tiny-") + GetParam();
  const std::vector<Token> tokens = some_tokens(200, 512);
  const auto exact = load_model(name, "auto", 2, true), fast = load_model(name);
  const auto a = exact->new_context(), b = fast->new_context();
  const std::vector<float> wanted = run(*exact, *a, tokens, 512);
  for (int chunk : {512, 8}) {  // attention in the expanded and in the absorbed form
    ASSERT_TRUE(b->rewind({0}));
    const std::vector<float> got = run(*fast, *b, tokens, chunk);
    const double divergence = mean_divergence(wanted, got, exact->vocab_size());
    RecordProperty("divergence_" + std::to_string(chunk), std::to_string(divergence));
    EXPECT_LE(divergence, 1e-3) << "in steps of " << chunk;
    EXPECT_GT(divergence, 0);  // they are two computations
  }
}

// What the codes of queries and keys change of the choice, where both are computed from the same
// input; choices of later layers would follow from those of the first.
TEST_P(FastPath, ChoosesTheTokensThatAnF32EvaluationDoes) {
  constexpr std::uint32_t kTopK = 64;
  constexpr int kTokens = 200;
  std::string bytes = bytes_of(std::string("tiny-") + GetParam());
  set_u32(bytes, "deepseek32.block_count", 1);
  set_u32(bytes, "deepseek32.attention.indexer.top_k", kTopK);
  const auto file = gguf_from(bytes);
  const std::vector<Token> tokens = some_tokens(kTokens, 512);
  std::vector<std::vector<int>> chosen[2];
  for (const bool exact : {true, false}) {
    Backend* backend = nullptr;
    const auto make = [&](BackendOptions options) {
      options.name = "cpu";
      MadeBackend made = make_backend(options);
      backend = made.backend.get();
      return made;
    };
    const auto engine = Engine::load(file, {.threads = 2, .exact = exact, .make = make});
    run(*engine, *engine->new_context(), tokens, kTokens);
    for (int row = kTopK; row < kTokens; ++row) chosen[exact].push_back(backend->selection(row));
  }
  std::size_t both = 0, all = 0;
  for (std::size_t row = 0; row < chosen[true].size(); ++row) {
    ASSERT_EQ(chosen[true][row].size(), kTopK);
    for (const int position : chosen[false][row]) {
      both += std::ranges::binary_search(chosen[true][row], position);
      ++all;
    }
  }
  RecordProperty("recall", std::to_string(double(both) / double(all)));
  EXPECT_GE(double(both) / double(all), 0.99);
  if (precision_of(*file) == Precision::fast) {
    EXPECT_LT(both, all);  // they are two computations
  } else {
    EXPECT_EQ(both, all);  // keys of 8 bits would miss some
  }
}

INSTANTIATE_TEST_SUITE_P(Types, FastPath,
                         ::testing::Values("f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1",
                                           "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq2_xxs",
                                           "iq4_nl", "iq4_xs", "mxfp4", "kv_b"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace corvid::model::testing
