// Contexts: many timelines over one engine, and what must not change when they are moved about.
#include "model/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stop_token>

#include "model/compute/kv_layout.h"
#include "model/error.h"
#include "model/snapshot.h"
#include "tests/model/random_models.h"

namespace corvid::model::testing {
namespace {

using ::testing::HasSubstr;

constexpr double kBound = 1e-4;
constexpr const char* kModel = "logits-deepseek32";

class EngineTest : public ::testing::Test {
 protected:
  std::shared_ptr<Engine> engine_ = load_model(kModel);
  std::vector<Token> tokens_ = some_tokens(150, 512);
  std::span<const Token> all() const { return tokens_; }

  std::vector<float> expected(std::span<const Token> tokens) {
    const auto context = engine_->new_context();
    return run(*engine_, *context, tokens, 512);
  }
  std::vector<float> last(std::span<const Token> tokens) {
    const std::vector<float> logits = expected(tokens);
    return {logits.end() - engine_->vocab_size(), logits.end()};
  }
  void append(Context& context, std::span<const Token> tokens) {
    const Work work{&context, tokens, Rows::last};
    ASSERT_TRUE(engine_->step({&work, 1}));
  }
};

TEST_F(EngineTest, AfterARewindItContinuesAsIfNothingHadHappened) {
  const auto context = engine_->new_context();
  append(*context, all().first(130));
  const Mark mark = context->mark();
  append(*context, some_tokens(40, 512, 99));
  ASSERT_TRUE(context->rewind(mark));
  EXPECT_EQ(context->tokens().size(), 130u);
  append(*context, all().subspan(130));
  EXPECT_LT(largest_difference(context->logits(), last(all())), kBound);
}

TEST_F(EngineTest, RewindingAheadIsRefused) {
  const auto context = engine_->new_context();
  append(*context, all().first(10));
  EXPECT_FALSE(context->rewind({11}));
  EXPECT_FALSE(context->rewind({-1}));
  EXPECT_EQ(context->mark().n_tokens, 10);
}

TEST_F(EngineTest, ForksShareTheirPastAndNotTheirFuture) {
  const auto trunk = engine_->new_context();
  append(*trunk, all().first(100));
  const auto branch = trunk->fork();
  const std::vector<Token> other = some_tokens(30, 512, 7);
  append(*branch, other);  // in the middle of a shared page
  append(*trunk, all().subspan(100));
  EXPECT_LT(largest_difference(trunk->logits(), last(all())), kBound);
  std::vector<Token> branch_tokens(all().begin(), all().begin() + 100);
  branch_tokens.insert(branch_tokens.end(), other.begin(), other.end());
  EXPECT_LT(largest_difference(branch->logits(), last(branch_tokens)), kBound);
}

TEST_F(EngineTest, AForkOutlivesItsTrunk) {
  auto trunk = engine_->new_context();
  append(*trunk, all().first(100));
  const auto branch = trunk->fork();
  trunk.reset();
  const auto other = engine_->new_context();  // would take freed pages
  append(*other, some_tokens(100, 512, 3));
  append(*branch, all().subspan(100));
  EXPECT_LT(largest_difference(branch->logits(), last(all())), kBound);
}

TEST_F(EngineTest, ContextsStepTogetherAsTheyDoAlone) {
  const auto a = engine_->new_context(), b = engine_->new_context(), c = engine_->new_context();
  const std::vector<Token> b_tokens = some_tokens(90, 512, 11), c_tokens = some_tokens(40, 512, 12);
  append(*a, all().first(149));
  append(*b, std::span(b_tokens).first(20));
  // A decode token, a prefill chunk and a fresh prompt in one batch.
  const Work work[] = {{a.get(), all().subspan(149), Rows::last},
                       {b.get(), std::span(b_tokens).subspan(20), Rows::all},
                       {c.get(), c_tokens, Rows::none}};
  ASSERT_TRUE(engine_->step(work));
  EXPECT_LT(largest_difference(a->logits(), last(all())), kBound);
  EXPECT_LT(largest_difference(b->logits(-1), last(b_tokens)), kBound);
  EXPECT_LT(largest_difference(b->logits(69), last(b_tokens)), kBound);
  append(*c, all().first(1));
  std::vector<Token> c_all = c_tokens;
  c_all.push_back(tokens_[0]);
  EXPECT_LT(largest_difference(c->logits(), last(c_all)), kBound);
}

TEST_F(EngineTest, ALoadedSnapshotContinuesLikeTheOriginal) {
  const auto context = engine_->new_context();
  append(*context, all().first(130));
  std::vector<std::byte> snapshot;
  context->save(snapshot);
  const auto copy = load_model(kModel)->new_context();
  copy->load(snapshot);
  EXPECT_TRUE(std::ranges::equal(copy->tokens(), all().first(130)));
  const auto again = engine_->new_context();
  append(*again, some_tokens(70, 512, 5));  // is replaced
  again->load(snapshot);
  append(*again, all().subspan(130));
  EXPECT_LT(largest_difference(again->logits(), last(all())), kBound);
}

TEST_F(EngineTest, SnapshotsThatDoNotBelongHereAreRefusedUntouched) {
  const auto context = engine_->new_context();
  append(*context, all().first(70));
  std::vector<std::byte> snapshot;
  context->save(snapshot);
  const auto problem = [](Context& target, std::span<const std::byte> bytes) -> std::string {
    try {
      target.load(bytes);
    } catch (const ModelError& error) {
      return error.what();
    }
    return "no problem";
  };
  const auto other = load_model("logits-deepseek32-groups")->new_context();
  EXPECT_THAT(problem(*other, snapshot), HasSubstr("belongs to another model"));
  const auto short_engine = Engine::load(open_model(kModel), {.max_context_tokens = 69});
  EXPECT_THAT(problem(*short_engine->new_context(), snapshot),
              HasSubstr("holds 70 tokens; the context takes 69"));
  std::vector<std::byte> newer = snapshot;
  newer[4] = std::byte{99};  // the version follows the magic number
  EXPECT_THAT(problem(*engine_->new_context(), newer), HasSubstr("version 99"));
  EXPECT_THAT(problem(*engine_->new_context(), std::span(snapshot).subspan(1)),
              HasSubstr("not a KV snapshot"));
  std::vector<std::byte> flipped = snapshot;
  flipped.back() ^= std::byte{1};
  EXPECT_THAT(problem(*engine_->new_context(), flipped), HasSubstr("checksum"));

  // Intact, but made up.
  const auto made = [&](std::vector<Token> tokens, std::size_t state_bytes) {
    Snapshot other = read_snapshot(snapshot);
    other.tokens = std::move(tokens);
    std::vector<std::byte> bytes;
    write_snapshot(
        other, state_bytes, [](std::byte*) {}, bytes);
    return bytes;
  };
  const std::size_t state_bytes = read_snapshot(snapshot).state.size();
  const std::vector<Token> right(70, 1);
  EXPECT_EQ(problem(*engine_->new_context(), made(right, state_bytes)), "no problem");
  for (const Token outside : {-1, engine_->vocab_size()}) {
    std::vector<Token> wrong = right;
    wrong[69] = outside;
    EXPECT_THAT(problem(*engine_->new_context(), made(wrong, state_bytes)),
                HasSubstr("token " + std::to_string(outside) + ", which is outside"));
  }
  EXPECT_THAT(problem(*engine_->new_context(), made(right, state_bytes - 1)),
              HasSubstr("wrong size"));
  EXPECT_THAT(problem(*engine_->new_context(), made({1}, state_bytes)), HasSubstr("wrong size"));

  const auto target = engine_->new_context();
  append(*target, all().first(3));
  for (std::size_t size : {std::size_t{0}, std::size_t{5}, snapshot.size() - 1}) {
    EXPECT_THROW(target->load(std::span(snapshot).first(size)), ModelError);
  }
  for (std::size_t at = 0; at < snapshot.size(); at += snapshot.size() / 50) {
    std::vector<std::byte> damaged = snapshot;
    damaged[at] ^= std::byte{0x10};
    EXPECT_THROW(target->load(damaged), ModelError) << at;
  }
  EXPECT_EQ(target->mark().n_tokens, 3);
}

TEST_F(EngineTest, AStoppedStepLeavesEveryContextAsItWas) {
  const auto a = engine_->new_context(), b = engine_->new_context();
  append(*a, all().first(100));
  std::stop_source source;
  source.request_stop();
  const Work work[] = {{a.get(), all().subspan(100), Rows::last}, {b.get(), all(), Rows::last}};
  EXPECT_FALSE(engine_->step(work, source.get_token()));
  EXPECT_EQ(a->mark().n_tokens, 100);
  EXPECT_EQ(b->mark().n_tokens, 0);
  append(*a, all().subspan(100));
  EXPECT_LT(largest_difference(a->logits(), last(all())), kBound);
}

TEST_F(EngineTest, AContextThatGoesAwayLeavesTheOthersAlone) {
  const auto kept = engine_->new_context();
  auto gone = engine_->new_context();
  const std::vector<Token> other = some_tokens(100, 512, 8);
  const Work both[] = {{kept.get(), all().first(100), Rows::none}, {gone.get(), other, Rows::none}};
  ASSERT_TRUE(engine_->step(both));
  const auto branch = gone->fork();
  gone.reset();  // cancelled in the middle of its prompt
  const auto fresh = engine_->new_context();
  append(*fresh, other);  // takes its pages
  append(*kept, all().subspan(100));
  append(*branch, all().first(5));
  EXPECT_EQ(kept->tokens().size(), all().size());
  EXPECT_LT(largest_difference(kept->logits(), last(all())), kBound);
  std::vector<Token> branched = other;
  branched.insert(branched.end(), all().begin(), all().begin() + 5);
  EXPECT_LT(largest_difference(branch->logits(), last(branched)), kBound);
}

// Source of the formula: a layer keeps the latent and the rotated key in 16 bits each, and of the
// index key a byte per value and a scale.
TEST(KvBytes, AreThoseOfTheFormula) {
  struct Case {
    const char* name;
    KvShape shape;
    double formula;
  };
  const Case cases[] = {
      {"V3.2", {.layers = 61, .latent = 512, .rope = 64, .index = 128}, 70272 + 8052},
      {"V2-Lite", {.layers = 27, .latent = 512, .rope = 64}, 31104},
      {"GLM-4.7-Flash", {.layers = 47, .latent = 512, .rope = 64}, 54144}};
  for (const Case& c : cases) {
    const KvLayout layout(c.shape, Precision::fast);
    EXPECT_NEAR(double(layout.page_bytes()) / kPageTokens, c.formula, 0.1 * c.formula) << c.name;
    EXPECT_NEAR(double(layout.bytes(1000)) / 1000, c.formula, 0.1 * c.formula) << c.name;
  }
}

TEST(KvBytes, AContextTakesNoMoreThanItsPages) {
  const auto engine = load_model("tiny-sparse");
  const auto context = engine->new_context();
  const std::vector<Token> tokens = some_tokens(4 * kPageTokens + 1, 512);
  run(*engine, *context, tokens, 512);
  const std::size_t page = context->kv_bytes() / 5;
  EXPECT_EQ(context->kv_bytes(), 5 * page);
  ASSERT_TRUE(context->rewind({kPageTokens}));
  EXPECT_EQ(context->kv_bytes(), page);
}

TEST_F(EngineTest, RowsAreCountedWhereTheyAreComputed) {
  const std::int64_t before = engine_->rows_computed();
  const auto context = engine_->new_context();
  append(*context, all().first(100));
  context->rewind({50});
  const auto branch = context->fork();
  append(*branch, all().subspan(50, 7));
  EXPECT_EQ(engine_->rows_computed() - before, 107);
}

TEST_F(EngineTest, BadTokensAndFullContextsAreRefusedBeforeAnythingChanges) {
  const auto context = engine_->new_context();
  const std::vector<Token> bad = {1, 2, 512};
  Work work{context.get(), bad, Rows::last};
  EXPECT_THROW(engine_->step({&work, 1}), ModelError);
  EXPECT_EQ(context->mark().n_tokens, 0);
  const auto small = Engine::load(open_model(kModel), {.max_context_tokens = 20});
  const auto full = small->new_context();
  EXPECT_EQ(full->room_tokens(), 20);
  work = {full.get(), all().first(21), Rows::last};
  EXPECT_THROW(small->step({&work, 1}), ModelError);
  EXPECT_EQ(full->mark().n_tokens, 0);
}

TEST_F(EngineTest, ResultsDoNotDependOnTheNumberOfThreads) {
  const auto one = load_model(kModel, "auto", 1), three = load_model(kModel, "auto", 3);
  const auto a = one->new_context(), b = three->new_context();
  EXPECT_LT(largest_difference(run(*one, *a, all(), 16), run(*three, *b, all(), 16)), kBound);
}

}  // namespace
}  // namespace corvid::model::testing
