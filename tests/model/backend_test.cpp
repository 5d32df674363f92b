// Laws of single operations of the CPU back end that whole logits would not show.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "model/compute/cpu/cpu_backend.h"

namespace corvid::model {
namespace {

constexpr int kHeads = 4, kNope = 16, kRope = 16, kLatent = 128, kValue = 16;
constexpr int kIndexHeads = 8, kIndex = 64, kTopK = 100, kTokens = 900;

// One layer's cache filled with random tokens, and the operations that read it.
class CpuBackendTest : public ::testing::TestWithParam<Precision> {
 protected:
  CpuBackendTest() : backend_({.threads = 2, .precision = GetParam()}) {
    backend_.set_kv_shape({.layers = 1, .latent = kLatent, .rope = kRope, .index = kIndex});
    std::vector<double> frequencies(kRope / 2);
    for (int i = 0; i < kRope / 2; ++i) frequencies[i] = std::pow(10000.0, -2.0 * i / kRope);
    rope_ = backend_.add_rope(frequencies);
    const std::vector<float> ones(kLatent, 1.0f), zeros(kIndex, 0.0f);
    one_ = backend_.add_vector(view({kLatent}, ones));
    index_one_ = backend_.add_vector(view({kIndex}, ones));
    index_zero_ = backend_.add_vector(view({kIndex}, zeros));
    const std::vector<float> k = normal(std::size_t{kNope} * kLatent * kHeads, 0.2f);
    const std::vector<float> v = normal(std::size_t{kValue} * kLatent * kHeads, 0.2f);
    k_b_ = backend_.add_matrix(view({kNope, kLatent, kHeads}, k));
    v_b_ = backend_.add_matrix(view({kLatent, kValue, kHeads}, v));
    latent_ = input(kTokens, kLatent + kRope);
    key_ = input(kTokens, kIndex);
    query_ = input(kTokens, kHeads * (kNope + kRope));
    index_query_ = input(kTokens, kIndexHeads * kIndex);
    index_weights_ = input(kTokens, kIndexHeads);
    same_query_ = input(kTokens, kIndexHeads * kIndex, true);
    same_weights_ = input(kTokens, kIndexHeads, true);
    out_ = backend_.add_tensor(kTokens, kHeads * kValue);
    const int n_pages = (kTokens + kPageTokens - 1) / kPageTokens;
    backend_.reserve_pages(n_pages);
    for (int i = 0; i < n_pages; ++i) pages_.push_back(n_pages - 1 - i);
  }

  std::vector<float> normal(std::size_t n, float width = 1) {
    std::normal_distribution<float> values(0, width);
    std::vector<float> out(n);
    for (float& value : out) value = values(random_);
    return out;
  }
  static TensorView view(std::vector<std::int64_t> ne, const std::vector<float>& values) {
    return {"test", Type::f32, std::move(ne), reinterpret_cast<const std::byte*>(values.data()),
            values.size() * sizeof(float)};
  }
  // A tensor of random rows, or of one many times: written by looking them up as if they were
  // embeddings.
  Tensor input(int rows, int width, bool same = false) {
    tables_.push_back(normal(std::size_t(rows) * width));
    const Tensor tensor = backend_.add_tensor(rows, width);
    const Matrix table = backend_.add_table(view({width, rows}, tables_.back()));
    std::vector<Token> tokens(rows);
    for (int i = 0; i < rows; ++i) tokens[i] = same ? 0 : i;
    const std::vector<int> no_pages(kTokens / kPageTokens + 1);
    const Sequence sequence{no_pages, 0, rows};
    backend_.begin({tokens, {&sequence, 1}});
    backend_.embed(table, tensor);
    return tensor;
  }
  void begin(int past, int n) {
    tokens_.assign(n, 0);
    sequence_ = {pages_, past, n};
    backend_.begin({tokens_, {&sequence_, 1}});
  }
  void fill() {
    begin(0, kTokens);
    backend_.store({.layer = 0,
                    .latent = latent_,
                    .latent_norm = {one_, {}, 1e-6f},
                    .rope = rope_,
                    .index_key = key_,
                    .index_norm = {index_one_, index_zero_, 1e-6f}});
  }
  void select(const Tensor& query, const Tensor& weights) {
    backend_.select({.layer = 0,
                     .heads = kIndexHeads,
                     .top_k = kTopK,
                     .query = query,
                     .weights = weights,
                     .rope = rope_});
  }
  void select(int n, int first = 0) {
    select(index_query_.slice(first, n), index_weights_.slice(first, n));
  }
  std::vector<float> attend(int n, bool selected = true, int first = 0) {
    backend_.attend({.layer = 0,
                     .query = query_.slice(first, n),
                     .k_b = k_b_,
                     .v_b = v_b_,
                     .rope = rope_,
                     .scale = 0.1f,
                     .selected = selected,
                     .out = out_.top(n)});
    std::vector<float> values(std::size_t(n) * kHeads * kValue);
    backend_.read(out_.top(n), values);
    return values;
  }
  std::size_t latent_bytes() const {
    return (kLatent + kRope) * (GetParam() == Precision::exact ? 4 : 2);
  }
  // Overwrites the cached latent of a position with NaN.
  void poison(int position) {
    const int page = pages_[position / kPageTokens], slot = position % kPageTokens;
    std::vector<std::byte> bytes(backend_.page_bytes(kPageTokens));
    backend_.read_page(page, kPageTokens, bytes.data());
    const std::size_t token = backend_.page_bytes(1);
    std::memset(bytes.data() + slot * token, 0xFF, latent_bytes());
    backend_.write_page(page, kPageTokens, bytes.data());
  }

  CpuBackend backend_;
  std::mt19937 random_{11};
  std::vector<std::vector<float>> tables_;
  std::vector<int> pages_;
  std::vector<Token> tokens_;
  Sequence sequence_;
  Rope rope_;
  Vector one_, index_one_, index_zero_;
  Matrix k_b_, v_b_;
  Tensor latent_, key_, query_, index_query_, index_weights_, same_query_, same_weights_, out_;
};

TEST_P(CpuBackendTest, LatentsThatWereNotSelectedAreNeverRead) {
  fill();
  for (int n : {1, 9}) {  // segments shared out, and a row per thread
    begin(kTokens - n, n);
    select(n);
    const std::vector<float> before = attend(n);
    std::vector<bool> read(kTokens, false);
    for (int row = 0; row < n; ++row) {
      ASSERT_EQ(backend_.selection(row).size(), std::size_t{kTopK});
      for (int position : backend_.selection(row)) read[position] = true;
    }
    int poisoned = 0;
    for (int position = 0; position < kTokens; ++position) {
      if (!read[position]) poison(position), ++poisoned;
    }
    EXPECT_GT(poisoned, 0);
    EXPECT_EQ(attend(n), before);
    for (float value : attend(n, false)) ASSERT_TRUE(std::isnan(value));  // the poison works
    fill();
  }
}

// A long prefill gives every head keys and values of its own: the cache is read once for all rows.
TEST_P(CpuBackendTest, ManyRowsAttendTogetherAsEachDoesAlone) {
  fill();
  for (const auto& [past, n] : {std::pair{0, 64}, {100, 200}, {230, 270}}) {
    begin(past, n);
    const std::int64_t before = backend_.traffic().cache_bytes;
    const std::vector<float> together = attend(n, false);
    EXPECT_LE(backend_.traffic().cache_bytes - before, (past + n) * std::int64_t(latent_bytes()));
    for (int i : {0, 1, 63, n - 1}) {
      begin(past + i, 1);
      const std::vector<float> alone = attend(1, false, i);
      for (std::size_t j = 0; j < alone.size(); ++j) {
        ASSERT_NEAR(together[i * alone.size() + j], alone[j], 1e-5) << "row " << i;
      }
    }
  }
}

// Little more than what its rows read lies before them, so that all of it is expanded, once.
TEST_P(CpuBackendTest, APrefillReadsWhatAnyOfItsRowsHasSelectedAndNothingElse) {
  constexpr int kPast = 150, kRows = 200;  // two tiles, of the later of which some read nothing
  fill();
  begin(kPast, kRows);
  select(same_query_.top(kRows), same_weights_.top(kRows));
  std::vector<bool> read(kPast + kRows, false);
  for (int row = 0; row < kRows; ++row) {
    for (int position : backend_.selection(row)) read[position] = true;
  }
  const std::int64_t before = backend_.traffic().cache_bytes;
  const std::vector<float> together = attend(kRows);
  EXPECT_EQ(backend_.traffic().cache_bytes - before,
            std::ranges::count(read, true) * std::int64_t(latent_bytes()));
  int poisoned = 0;
  for (int position = 0; position < kPast + kRows; ++position) {
    if (!read[position]) poison(position), ++poisoned;
  }
  EXPECT_GT(poisoned, 10);
  EXPECT_EQ(attend(kRows), together);
  fill();
  for (int i : {0, 1, 63, 105, 106, 107, 108, kRows - 1}) {
    begin(kPast + i, 1);
    select(same_query_.top(1), same_weights_.top(1));
    const std::vector<float> alone = attend(1, true, i);
    for (std::size_t j = 0; j < alone.size(); ++j) {
      ASSERT_NEAR(together[i * alone.size() + j], alone[j], 1e-5) << "row " << i;
    }
  }
}

TEST_P(CpuBackendTest, SelectionsAreCausalAndKeepEverythingWhileThereIsLittle) {
  fill();
  begin(0, kTokens);
  select(kTokens);
  for (int row = 0; row < kTokens; ++row) {
    const std::vector<int> kept = backend_.selection(row);
    if (row < kTopK) {
      EXPECT_TRUE(kept.empty());
      continue;
    }
    ASSERT_EQ(kept.size(), std::size_t{kTopK});
    EXPECT_LE(kept.back(), row);
    EXPECT_TRUE(std::ranges::is_sorted(kept));
  }
}

TEST_P(CpuBackendTest, ARowChoosesTheSameTokensAloneAsInABatch) {
  fill();
  begin(0, kTokens);
  select(kTokens);
  std::vector<std::vector<int>> batch;
  for (int row = 0; row < kTokens; ++row) batch.push_back(backend_.selection(row));
  // Threads share out the tokens of a late row, and of an early one only its scores.
  for (int row : {kTopK, 300, 301, 799, 800, kTokens - 1}) {
    begin(row, 1);
    select(1, row);
    EXPECT_EQ(backend_.selection(0), batch[row]) << "row " << row;
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, CpuBackendTest,
                         ::testing::Values(Precision::exact, Precision::fine, Precision::fast),
                         [](const auto& info) {
                           return info.param == Precision::exact  ? "exact"
                                  : info.param == Precision::fine ? "fine"
                                                                  : "fast";
                         });

// Source of the bound: the engine's own target for the fast path.
TEST(FastIndexer, RecallsAtLeast99PercentOfTheExactChoice) {
  constexpr int kN = 4096, kK = 512, kWide = 128, kQueries = 16;
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<std::vector<int>> chosen[2];
  for (Precision precision : {Precision::exact, Precision::fast}) {
    random.seed(5);
    CpuBackend backend({.threads = 1, .precision = precision});
    backend.set_kv_shape({.layers = 1, .latent = 16, .rope = 16, .index = kWide});
    backend.reserve_pages(kN / kPageTokens);
    const Rope rope = backend.add_rope(std::vector<double>(8, 0.01));
    std::vector<std::vector<float>> tables;
    const auto input = [&](int width) {
      std::vector<float>& values = tables.emplace_back(std::size_t{kN} * width);
      for (float& value : values) value = normal(random) * (random() % 50 == 0 ? 8.0f : 1.0f);
      const Tensor tensor = backend.add_tensor(kN, width);
      const Matrix table = backend.add_table({"test",
                                              Type::f32,
                                              {width, kN},
                                              reinterpret_cast<const std::byte*>(values.data()),
                                              4 * values.size()});
      return std::pair(table, tensor);
    };
    tables.reserve(8);
    std::vector<Token> tokens(kN);
    std::vector<int> pages(kN / kPageTokens);
    for (int i = 0; i < kN; ++i) tokens[i] = i;
    for (std::size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<int>(i);
    const Sequence whole{pages, 0, kN};
    const auto latent = input(32), key = input(kWide), query = input(8 * kWide), weights = input(8);
    backend.begin({tokens, {&whole, 1}});
    for (const auto& [table, tensor] : {latent, key, query, weights}) backend.embed(table, tensor);
    const std::vector<float> ones(kWide, 1.0f), zeros(kWide, 0.0f);
    const auto vector = [&](int n, const std::vector<float>& values) {
      return backend.add_vector({"test",
                                 Type::f32,
                                 {n},
                                 reinterpret_cast<const std::byte*>(values.data()),
                                 static_cast<std::size_t>(4 * n)});
    };
    backend.store({.layer = 0,
                   .latent = latent.second,
                   .latent_norm = {vector(16, ones), {}, 1e-6f},
                   .rope = rope,
                   .index_key = key.second,
                   .index_norm = {vector(kWide, ones), vector(kWide, zeros), 1e-6f}});
    const Sequence last{pages, kN - kQueries, kQueries};
    backend.begin({std::span(tokens).last(kQueries), {&last, 1}});
    backend.select({.layer = 0,
                    .heads = 8,
                    .top_k = kK,
                    .query = query.second.slice(kN - kQueries, kQueries),
                    .weights = weights.second.slice(kN - kQueries, kQueries),
                    .rope = rope});
    for (int row = 0; row < kQueries; ++row) {
      chosen[precision == Precision::fast].push_back(backend.selection(row));
    }
  }
  std::size_t both = 0;
  for (int row = 0; row < kQueries; ++row) {
    for (int position : chosen[1][row]) {
      both += std::ranges::binary_search(chosen[0][row], position);
    }
  }
  EXPECT_GE(double(both) / (kQueries * kK), 0.99);
}

}  // namespace
}  // namespace corvid::model
