// The forward pass on the GPU: against the float64 references, against the CPU, and as a timeline
// that is rewound, forked, saved and stepped together with others. Mesa's software device runs the
// real kernels, slowly: most prompts are short.
#include <gtest/gtest.h>

#include "model/compute/backend.h"
#include "model/text/tokenizer.h"
#include "tests/model/gpu.h"
#include "tests/model/random_models.h"

namespace corvid::model::testing {
namespace {

constexpr double kBound = 1e-4;
constexpr std::size_t kTokens = 80;  // more than a page

std::shared_ptr<Engine> load_on(const std::string& backend, const std::string& name) {
  return Engine::load(open_model(name), {.backend = backend, .threads = 2});
}

class VulkanLogits : public ::testing::TestWithParam<const char*> {};

TEST_P(VulkanLogits, AgreeWithTheReferenceInPrefillAndDecode) {
  CORVID_NEEDS_GPU();
  const nlohmann::json vector = load_vector(GetParam());
  auto tokens = vector["ids"].get<std::vector<Token>>();
  tokens.resize(std::min(tokens.size(), kTokens));
  const auto engine = load_on(*gpu(), GetParam());
  const auto context = engine->new_context();
  // A prompt in two chunks, of which the second crosses into another page; then token by token.
  const std::span<const Token> all = tokens;
  std::vector<float> logits = run(*engine, *context, all.first(60), 60);
  for (const auto& [from, n] : {std::pair(60, 13), {73, 7}}) {
    const std::vector<float> more = run(*engine, *context, all.subspan(from, n), n > 7 ? n : 1);
    logits.insert(logits.end(), more.begin(), more.end());
  }
  EXPECT_LT(difference_from(vector, logits, engine->vocab_size()), kBound);
  const auto cpu = load_on("cpu", GetParam());
  const auto other = cpu->new_context();
  EXPECT_LT(largest_difference(logits, run(*cpu, *other, tokens, 512)), kBound);
}

TEST_P(VulkanLogits, AgreeWithTheReferenceToItsEndInOnePrefill) {
  CORVID_NEEDS_GPU();
  const nlohmann::json vector = load_vector(GetParam());
  const auto tokens = vector["ids"].get<std::vector<Token>>();
  const auto engine = load_on(*gpu(), GetParam());
  const auto context = engine->new_context();
  const std::vector<float> logits = run(*engine, *context, tokens, 512);
  EXPECT_LT(difference_from(vector, logits, engine->vocab_size()), kBound);
}

TEST_P(VulkanLogits, AgreeWithTheReferenceWhereverTheContextHasBeen) {
  CORVID_NEEDS_GPU();
  const nlohmann::json vector = load_vector(GetParam());
  auto tokens = vector["ids"].get<std::vector<Token>>();
  tokens.resize(std::min(tokens.size(), kTokens));
  const auto engine = load_on(*gpu(), GetParam());
  const std::size_t skipped = tokens.size() / 2;
  const std::vector<float> logits = run_about(*engine, tokens);
  EXPECT_LT(difference_from(vector, logits, engine->vocab_size(), skipped), kBound);
}

INSTANTIATE_TEST_SUITE_P(Vectors, VulkanLogits,
                         ::testing::Values("logits-deepseek32", "logits-deepseek32-groups",
                                           "logits-deepseek2-lite", "logits-deepseek2-v3",
                                           "logits-deepseek2-groups", "logits-deepseek2-flash",
                                           "logits-deepseek2-old"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// The GPU multiplies quantised weights with f32 activations, so it comes closer to an f32
// evaluation of the file than the bound for the CPU, whose activations have 8 bits.
class VulkanTypes : public ::testing::TestWithParam<const char*> {};

TEST_P(VulkanTypes, DivergeHardlyFromAnF32EvaluationOfTheSameFile) {
  CORVID_NEEDS_GPU();
  const std::string name = std::string("tiny-") + GetParam();
  const std::vector<Token> tokens = some_tokens(6, 512);
  const auto exact = load_model(name, "auto", 2, true), fast = load_on(*gpu(), name);
  const auto a = exact->new_context(), b = fast->new_context();
  const std::vector<float> wanted = run(*exact, *a, tokens, 512);
  EXPECT_LE(mean_divergence(wanted, run(*fast, *b, tokens, 512), exact->vocab_size()), 1e-5);
}

// vulkan_kernels_test.cpp multiplies by the others.
INSTANTIATE_TEST_SUITE_P(Some, VulkanTypes,
                         ::testing::Values("bf16", "q8_0", "q4_k", "iq2_xxs", "kv_b"),
                         [](const auto& info) { return std::string(info.param); });

TEST(VulkanEngine, TimelinesAreRewoundForkedSavedAndSteppedTogether) {
  CORVID_NEEDS_GPU();
  constexpr const char* kModel = "logits-deepseek32";
  const auto cpu = load_on("cpu", kModel), engine = load_on(*gpu(), kModel);
  const auto expected = [&](std::span<const Token> tokens) {
    const auto context = cpu->new_context();
    std::vector<float> logits = run(*cpu, *context, tokens, 512);
    return std::vector(logits.end() - cpu->vocab_size(), logits.end());
  };
  const auto append = [&](Context& context, std::span<const Token> tokens) {
    const Work work{&context, tokens, Rows::last};
    ASSERT_TRUE(engine->step({&work, 1}));
  };
  const std::vector<Token> tokens = some_tokens(75, 512), other = some_tokens(12, 512, 7);
  const std::span<const Token> all = tokens;

  const auto trunk = engine->new_context();
  append(*trunk, all.first(70));
  const Mark mark = trunk->mark();
  append(*trunk, other);
  ASSERT_TRUE(trunk->rewind(mark));
  const auto branch = trunk->fork();
  std::vector<std::byte> snapshot;
  trunk->save(snapshot);

  // A decode token, a chunk in the middle of a shared page and a fresh prompt in one batch.
  const auto fresh = engine->new_context();
  const Work work[] = {{trunk.get(), all.subspan(70, 1), Rows::none},
                       {branch.get(), other, Rows::all},
                       {fresh.get(), std::span(other).first(5), Rows::last}};
  ASSERT_TRUE(engine->step(work));
  std::vector<Token> branch_tokens(tokens.begin(), tokens.begin() + 70);
  branch_tokens.insert(branch_tokens.end(), other.begin(), other.end());
  EXPECT_LT(largest_difference(branch->logits(), expected(branch_tokens)), kBound);
  EXPECT_LT(largest_difference(fresh->logits(), expected(std::span(other).first(5))), kBound);
  append(*trunk, all.subspan(71));
  EXPECT_LT(largest_difference(trunk->logits(), expected(tokens)), kBound);

  // Pages lie alike on both sides: what the GPU saved, the CPU continues.
  const auto copy = cpu->new_context();
  copy->load(snapshot);
  const std::vector<float> continued = run(*cpu, *copy, all.subspan(70), 512);
  EXPECT_LT(largest_difference(std::span(continued).last(cpu->vocab_size()), expected(tokens)),
            kBound);
  fresh->load(snapshot);
  append(*fresh, all.subspan(70));
  EXPECT_LT(largest_difference(fresh->logits(), expected(tokens)), kBound);
}

TEST(VulkanEngine, TheSameInputGivesTheSameBits) {
  CORVID_NEEDS_GPU();
  // Small batches and one that goes in tiles; experts that are grouped, and tokens chosen.
  const std::vector<Token> tokens = some_tokens(70, 512);
  for (const char* model : {"tiny-q4_k", "logits-deepseek32"}) {
    const auto engine = load_on(*gpu(), model), other = load_on(*gpu(), model);
    const auto logits = [&](Engine& on) {
      const auto context = on.new_context();
      return run(on, *context, tokens, 58);
    };
    const std::vector<float> wanted = logits(*engine);
    EXPECT_EQ(logits(*engine), wanted) << model;
    EXPECT_EQ(logits(*other), wanted) << model;
  }
}

// Steps all contexts at once, each with the token that it has drawn.
void decode(Engine& engine, std::span<Context* const> contexts, std::span<Draw> draws, int n) {
  for (int i = 0; i < n; ++i) {
    std::vector<Token> next;
    for (const Context* context : contexts) next.push_back(context->drawn());
    std::vector<Work> work;
    for (std::size_t c = 0; c < contexts.size(); ++c) {
      work.push_back({contexts[c], {&next[c], 1}, Rows::last, &draws[c]});
    }
    ASSERT_TRUE(engine.step(work));
    for (Draw& draw : draws) ++draw.nth;
  }
}

// The indexer chooses among more tokens than it keeps; index weights are F32, all others Q8_0.
TEST(VulkanEngine, ATokenTakesFewCommandsAndOnlyItsIdCrossesTheBus) {
  CORVID_NEEDS_GPU();
  constexpr int kLayers = 3, kTokensHere = 3, kBesideLayers = 3;  // embedding, head, draw
  const auto engine = load_on(*gpu(), "tiny-sparse");
  const auto context = engine->new_context();
  Context* const only[] = {context.get()};
  std::vector<std::uint64_t> mask(engine->vocab_size() / 64, ~0ull);
  Draw draw{.allowed = mask};
  const auto taken_by = [&](int n) {
    const Traffic before = engine->traffic();
    decode(*engine, only, {&draw, 1}, n);
    Traffic taken = engine->traffic();
    taken.dispatches -= before.dispatches;
    taken.submissions -= before.submissions;
    taken.recordings -= before.recordings;
    taken.bus_up_bytes -= before.bus_up_bytes;
    taken.bus_down_bytes -= before.bus_down_bytes;
    return taken;
  };
  const std::vector<Token> tokens = some_tokens(18, 512);
  const Work prompt{context.get(), tokens, Rows::last, &draw};
  ASSERT_TRUE(engine->step({&prompt, 1}));
  taken_by(1);  // recorded here, and where the row lies goes up
  for (double temperature : {0.0, 0.8}) {
    draw = {.temperature = temperature, .top_p = 0.9, .seed = 4, .nth = 0, .allowed = mask};
    taken_by(2);  // how to draw goes up
    const Traffic taken = taken_by(kTokensHere);
    EXPECT_LE(taken.dispatches, kTokensHere * (14 * kLayers + kBesideLayers));
    EXPECT_EQ(taken.submissions, kTokensHere);
    EXPECT_EQ(taken.recordings, 0);
    EXPECT_EQ(taken.bus_up_bytes, 0);
    EXPECT_EQ(taken.bus_down_bytes, kTokensHere * 4);
  }
  mask[3] = 0;  // another mask goes up once
  EXPECT_EQ(taken_by(2).bus_up_bytes, 8 * std::ssize(mask));
  // The address of a new page.
  taken_by(kPageTokens - 1 - context->mark().n_tokens % kPageTokens);
  const Traffic crossing = taken_by(3);
  EXPECT_EQ(crossing.bus_up_bytes, 8);
  EXPECT_EQ(crossing.submissions, 4);
}

TEST(VulkanEngine, OfContextsThatDecodeTogetherOnlyTheirTokensCrossTheBus) {
  CORVID_NEEDS_GPU();
  constexpr int kContexts = 3, kTokensHere = 4;
  const auto engine = load_on(*gpu(), "tiny-sparse");
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<Context*> all;
  std::vector<Draw> draws(kContexts, {.temperature = 1});
  for (int i = 0; i < kContexts; ++i) {
    contexts.push_back(engine->new_context());
    all.push_back(contexts.back().get());
    draws[i].seed = i;
    const std::vector<Token> tokens = some_tokens(6 + i, 512);
    const Work prompt{all[i], tokens, Rows::last, &draws[i]};
    ASSERT_TRUE(engine->step({&prompt, 1}));
    ++draws[i].nth;
  }
  const auto bus = [&](std::span<Context* const> of) {
    decode(*engine, of, std::span(draws).last(of.size()), 1);
    const Traffic before = engine->traffic();
    decode(*engine, of, std::span(draws).last(of.size()), kTokensHere);
    const Traffic after = engine->traffic();
    return std::pair(after.bus_up_bytes - before.bus_up_bytes,
                     after.bus_down_bytes - before.bus_down_bytes);
  };
  EXPECT_EQ(bus(all), (std::pair<std::int64_t, std::int64_t>(0, 4 * kTokensHere * kContexts)));
  const std::span<Context* const> fewer = std::span(all).last(2);
  EXPECT_EQ(bus(fewer), (std::pair<std::int64_t, std::int64_t>(0, 4 * kTokensHere * 2)));
}

// Timelines as they come and go: what the device has kept must never be what another one needs.
TEST(VulkanEngine, DrawsTheTokensOfTheCpuWhateverTheDeviceHasKept) {
  CORVID_NEEDS_GPU();
  constexpr const char* kModel = "logits-deepseek32";
  const auto drawn = [](const std::string& backend) {
    const auto engine = load_on(backend, kModel);
    const std::vector<Token> tokens = some_tokens(60, 512);
    const auto a = engine->new_context(), b = engine->new_context();
    Draw draws[] = {{.temperature = 1, .seed = 5}, {.temperature = 0.7, .top_p = 0.9, .seed = 6}};
    const Work prompts[] = {{a.get(), tokens, Rows::last, &draws[0]},
                            {b.get(), std::span(tokens).first(9), Rows::last, &draws[1]}};
    EXPECT_TRUE(engine->step(prompts));
    for (Draw& draw : draws) ++draw.nth;
    Context* both[] = {a.get(), b.get()};
    decode(*engine, both, draws, 6);  // the first into another page
    decode(*engine, std::span(both).last(1), std::span(draws).last(1), 2);
    decode(*engine, both, draws, 2);
    const auto branch = a->fork();
    EXPECT_TRUE(a->rewind({62}));
    Context* other[] = {branch.get(), a.get()};
    decode(*engine, other, draws, 3);
    std::swap(other[0], other[1]);
    decode(*engine, other, draws, 3);
    std::vector<Token> all;
    for (const Context* context : {a.get(), b.get(), branch.get()}) {
      all.insert(all.end(), context->tokens().begin(), context->tokens().end());
      all.push_back(context->drawn());
    }
    return all;
  };
  EXPECT_EQ(drawn(*gpu()), drawn("cpu"));
}

TEST(VulkanEngine, TokensAreDrawnForSomeAndLogitsReadOfOthersInOneStep) {
  CORVID_NEEDS_GPU();
  for (const std::string& backend : {std::string("cpu"), *gpu()}) {
    // In f32: a large batch adds up in another order, and a cache of 16 bits may round otherwise.
    const auto engine =
        Engine::load(open_model("tiny-sparse"), {.backend = backend, .threads = 2, .exact = true});
    const std::vector<Token> tokens = some_tokens(9, 512);
    std::vector<std::unique_ptr<Context>> contexts;
    std::vector<Work> work;
    const Draw greedy;
    for (int i = 0; i < 4; ++i) {
      contexts.push_back(engine->new_context());
      work.push_back({contexts[i].get(), std::span(tokens).first(6 + i), Rows::last,
                      i == 1 || i == 2 ? &greedy : nullptr});
    }
    ASSERT_TRUE(engine->step(work));
    for (int i = 0; i < 4; ++i) {
      const auto alone = engine->new_context();
      const std::vector<float> logits = run(*engine, *alone, work[i].tokens, 512);
      const std::span<const float> last = std::span(logits).last(engine->vocab_size());
      if (work[i].draw) {
        EXPECT_EQ(contexts[i]->drawn(), std::ranges::max_element(last) - last.begin());
      } else {
        EXPECT_LT(largest_difference(contexts[i]->logits(), last), kBound);
      }
    }
  }
}

// Each follows the CPU's tokens; where their choices differ, the CPU's two best are all but equal.
TEST(VulkanEngine, TheBuiltInModelChoosesTheTokensThatItChoosesOnTheCpu) {
  CORVID_NEEDS_GPU();
  const auto file = GgufFile::open(CORVID_SOURCE_DIR "/model/nano/nano.gguf");
  const auto tokenizer = Tokenizer::load(*file);
  const auto cpu = Engine::load(file, {.backend = "cpu", .threads = 2, .exact = true});
  const auto engine = Engine::load(file, {.backend = *gpu(), .threads = 2, .exact = true});
  const auto a = cpu->new_context(), b = engine->new_context();
  const auto step = [](Engine& on, Context& context, std::span<const Token> tokens) {
    const Work work{&context, tokens, Rows::last};
    EXPECT_TRUE(on.step({&work, 1}));
    return context.logits();
  };
  std::vector<Token> tokens = tokenizer->encode_special(
      "<｜begin▁of▁sentence｜><｜User｜>How many lines do the .py files here have?<｜Assistant｜>"
      "<think>");
  ASSERT_LT(tokens.size(), 60u);
  for (int i = 0; i < 16; ++i) {
    const std::span<const float> wanted = step(*cpu, *a, tokens), got = step(*engine, *b, tokens);
    EXPECT_LT(largest_difference(wanted, got), 1e-3) << "token " << i;
    const auto best = std::ranges::max_element(wanted) - wanted.begin();
    const auto chosen = std::ranges::max_element(got) - got.begin();
    EXPECT_LT(wanted[best] - wanted[chosen], 1e-3) << "token " << i;
    tokens = {static_cast<Token>(best)};
  }
}

TEST(VulkanEngine, ADeviceThatIsNotThereIsNamed) {
  try {
    load_on("vulkan:99", "tiny-q4_k");
    FAIL();
  } catch (const std::exception& error) {
    const std::string what = error.what();
    EXPECT_TRUE(what.find("vulkan:99") != std::string::npos || !gpu()) << what;
  }
  EXPECT_THROW(load_on("metal", "tiny-q4_k"), std::exception);
}

}  // namespace
}  // namespace corvid::model::testing
