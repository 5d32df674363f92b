// Each operation of the GPU alone, against the CPU's scalar one, over odd sizes: with subgroups of
// every size that the device offers, and without.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <functional>
#include <numeric>
#include <random>

#include "model/compute/make_backend.h"
#include "model/compute/vulkan/vulkan_backend.h"
#include "model/error.h"
#include "tests/model/gpu.h"
#include "tests/model/random_blocks.h"

namespace corvid::model::testing {
namespace {

// A back end with random data in it: equal seeds make equal data.
class Bench {
 public:
  Bench(const std::string& backend, Precision precision) {
    backend_ =
        make_backend({.name = backend, .threads = 1, .kernels = "scalar", .precision = precision})
            .backend;
  }

  // The GPU with these abilities.
  Bench(const Abilities& abilities, Precision precision)
      : backend_(std::make_unique<VulkanBackend>(VulkanOptions{
            .device = gpu_index(), .threads = 1, .precision = precision, .abilities = abilities})) {
  }

  Backend& backend() { return *backend_; }
  Vector vector(int n, float around) {
    std::vector<float>& values = normal(n, 0.1f);
    for (float& value : values) value += around;
    return backend_->add_vector(view(Type::f32, {n}, std::as_bytes(std::span(values))));
  }
  Norm norm(int n) { return {.weight = vector(n, 1), .eps = 1e-6f}; }
  Matrix matrix(Type type, int columns, int rows, int count = 1) {
    const std::size_t n = std::size_t(columns) * rows * count;
    bytes_.push_back(is_quantized(type) ? random_blocks(type, n, random_)
                                        : encode(type, normal(n, 1 / std::sqrt(float(columns)))));
    return backend_->add_matrix(view(type, {columns, rows, count}, bytes_.back()));
  }
  // Rows of random values: written by looking them up as if they were embeddings.
  Tensor input(int rows, int width) {
    const int columns = (width + 3) / 4 * 4;  // the tensor has room for them
    return input(rows, width, normal(std::size_t(rows) * columns, 1));
  }
  Tensor input(int rows, int width, std::vector<float>& values) {
    const int columns = static_cast<int>(values.size()) / rows;
    const Matrix table =
        backend_->add_table(view(Type::f32, {columns, rows}, std::as_bytes(std::span(values))));
    const Tensor tensor = backend_->add_tensor(rows, width);
    begin(0, rows);
    std::iota(tokens_.begin(), tokens_.end(), 0);
    const Sequence sequence{pages_, 0, rows};
    backend_->begin({tokens_, {&sequence, 1}});
    backend_->embed(table, tensor);
    return tensor;
  }
  std::vector<float> embedded(Type type, int columns, int rows, std::vector<Token> tokens) {
    const std::size_t n = std::size_t(columns) * rows;
    bytes_.push_back(is_quantized(type) ? random_blocks(type, n, random_)
                                        : encode(type, normal(n, 1)));
    const Matrix table = backend_->add_table(view(type, {columns, rows}, bytes_.back()));
    const Tensor x = backend_->add_tensor(static_cast<int>(tokens.size()), columns);
    begin(0, static_cast<int>(tokens.size()));
    tokens_ = std::move(tokens);
    backend_->begin({tokens_, {&sequence_, 1}});
    backend_->embed(table, x);
    return read(x);
  }
  // Rows of one timeline, on pages in reverse order.
  void begin(int past, int n) {
    tokens_.assign(n, 0);
    pages_.resize((past + n + kPageTokens - 1) / kPageTokens);
    std::iota(pages_.rbegin(), pages_.rend(), 0);
    sequence_ = {pages_, past, n};
    backend_->begin({tokens_, {&sequence_, 1}});
  }
  Tensor constant(int rows, int width, float value) {
    return input(rows, width, floats_.emplace_back(std::size_t(rows) * width, value));
  }
  std::vector<float> read(const Tensor& tensor) {
    std::vector<float> values(std::size_t(tensor.rows) * tensor.width);
    backend_->read(tensor, values);
    return values;
  }

 private:
  std::vector<float>& normal(std::size_t n, float width) {
    std::normal_distribution<float> values(0, width);
    std::vector<float>& out = floats_.emplace_back(n);
    for (float& value : out) value = values(random_);
    return out;
  }
  static TensorView view(Type type, std::vector<std::int64_t> ne, std::span<const std::byte> data) {
    return {"test", type, std::move(ne), data.data(), data.size()};
  }

  std::unique_ptr<Backend> backend_;
  std::mt19937 random_{17};
  std::deque<std::vector<float>> floats_;  // tables are read in place
  std::deque<std::vector<std::byte>> bytes_;
  std::vector<int> pages_;
  std::vector<Token> tokens_;
  Sequence sequence_;
};

DeviceInfo device_info() {
  return list_devices().devices[gpu_index()];
}

// The plain kernels, and those for subgroups of every size, with integer dot products if offered.
const std::vector<Abilities>& every_ability() {
  static const std::vector<Abilities> all = [] {
    const DeviceInfo device = device_info();
    std::vector<Abilities> found = {{.subgroup_size = 0, .integer_dot = 0}};
    for (int size : device.subgroup_sizes) {
      found.push_back({.subgroup_size = size, .integer_dot = device.integer_dot});
    }
    return found;
  }();
  return all;
}

// Mesa's software device takes the size of its subgroups, of 4 to 16, from the environment.
constexpr const char* kOtherSize = "LP_NATIVE_VECTOR_WIDTH";

class VulkanKernels : public ::testing::Test {
 protected:
  void SetUp() override { CORVID_NEEDS_GPU(); }

  // What `work` returns on the GPU, in each of its ways, and on the CPU. Without subgroups all runs
  // are the same.
  template <class Work>
  static void expect_equal(Work work, Precision precision, Precision cpu_precision, float bound) {
    Bench cpu_bench("cpu", cpu_precision);
    const std::vector<float> wanted = work(cpu_bench);
    for (const Abilities& abilities : every_ability()) {
      if (std::getenv(kOtherSize) && abilities.subgroup_size == Abilities::kNone) continue;
      Bench gpu_bench(abilities, precision);
      const std::vector<float> got = work(gpu_bench);
      ASSERT_EQ(got.size(), wanted.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], wanted[i], bound * (1 + std::fabs(wanted[i])))
            << "value " << i << ", subgroups of " << abilities.subgroup_size;
      }
    }
  }
  template <class Work>
  static void expect_equal(Work work, Precision precision = Precision::exact) {
    expect_equal(work, precision, precision, 1e-5f);
  }
};

void append(std::vector<float>& to, const std::vector<float>& values) {
  to.insert(to.end(), values.begin(), values.end());
}

// y = W x, or y += W norm(x).
std::vector<float> product(Bench& bench, const Matrix& matrix, bool normed, int n) {
  const Norm norm = bench.norm(matrix.columns);
  const Tensor x = bench.input(n, matrix.columns), y = bench.input(n, matrix.rows);
  const Projection out{.weight = matrix, .out = y, .add = normed};
  bench.backend().project(x, normed ? &norm : nullptr, {&out, 1});
  return bench.read(y);
}

TEST_F(VulkanKernels, MultiplyByPlainWeightsOfOddSizes) {
  expect_equal([](Bench& bench) {
    std::vector<float> all;
    for (const auto& [columns, rows] : {std::pair(4, 1), {20, 15}, {36, 33}, {100, 17}}) {
      const Matrix matrix = bench.matrix(Type::f32, columns, rows);
      for (int n : {1, 3, 9, 70}) {  // one tile, and one and a bit of the large ones
        append(all, product(bench, matrix, false, n));
        append(all, product(bench, matrix, true, n));
      }
    }
    return all;
  });
}

// Weights as they are on the GPU, converted to f32 on the CPU.
TEST_F(VulkanKernels, MultiplyByWeightsOfEveryType) {
  expect_equal(
      [](Bench& bench) {
        std::vector<float> all;
        for (Type type : {Type::f16, Type::bf16, Type::q4_0, Type::q4_1, Type::q5_0, Type::q5_1,
                          Type::q8_0, Type::q2_k, Type::q3_k, Type::q4_k, Type::q5_k, Type::q6_k,
                          Type::iq2_xxs, Type::iq4_nl, Type::iq4_xs, Type::mxfp4}) {
          const bool small_blocks = traits(type).block_elements <= 32;
          const Matrix matrix = bench.matrix(type, small_blocks ? 288 : 512, 19);
          append(all, product(bench, matrix, false, 1));
          append(all, product(bench, matrix, true, 70));
        }
        return all;
      },
      Precision::fast, Precision::exact, 2e-4f);
}

// A token's row of a table, at the edges of the table's panels of 16 rows.
TEST_F(VulkanKernels, EmbedByTablesOfEveryType) {
  expect_equal(
      [](Bench& bench) {
        std::vector<float> all;
        for (Type type : {Type::f32, Type::f16, Type::bf16, Type::q5_0, Type::q8_0, Type::q2_k,
                          Type::q4_k, Type::q6_k, Type::iq2_xxs}) {
          append(all, bench.embedded(type, traits(type).block_elements <= 32 ? 288 : 512, 19,
                                     {0, 18, 16, 15, 7}));
        }
        return all;
      },
      Precision::fast, Precision::exact, 1e-5f);
}

// One input, six matrices of three formats.
TEST_F(VulkanKernels, ProductsOfOneInputMayDifferInFormat) {
  expect_equal(
      [](Bench& bench) {
        const Norm norm = bench.norm(512);
        std::vector<Matrix> matrices;
        for (const auto& [type, rows] : {std::pair(Type::q4_k, 33),
                                         {Type::f32, 7},
                                         {Type::q8_0, 17},
                                         {Type::q4_k, 1},
                                         {Type::f32, 40},
                                         {Type::q4_k, 16}}) {
          matrices.push_back(bench.matrix(type, 512, rows));
        }
        std::vector<float> all;
        for (int n : {1, 5}) {
          const Tensor x = bench.input(n, 512);
          std::vector<Projection> outs;
          for (const Matrix& matrix : matrices) {
            outs.push_back({matrix, bench.backend().add_tensor(n, matrix.rows)});
          }
          bench.backend().project(x, &norm, outs);
          for (const Projection& out : outs) append(all, bench.read(out.out));
        }
        return all;
      },
      Precision::fast, Precision::exact, 2e-4f);
}

struct Shape {
  int heads, nope, rope, latent, value, index_heads, index;
};

// What a layer's cache holds after 130 tokens or more, and what n more rows make of it.
std::vector<float> attended(Bench& bench, const Shape& s, int top_k, int n, int past_rows = 130) {
  Backend& b = bench.backend();
  b.set_kv_shape({.layers = 2, .latent = s.latent, .rope = s.rope, .index = s.index});
  std::vector<double> frequencies(s.rope / 2);
  for (int i = 0; i < s.rope / 2; ++i) frequencies[i] = std::pow(10000.0, -2.0 * i / s.rope);
  const Rope rope = b.add_rope(frequencies);
  b.reserve_pages((past_rows + n) / kPageTokens + 1);
  KvRows rows{.layer = 1,
              .latent = bench.input(past_rows + n, s.latent + s.rope),
              .latent_norm = bench.norm(s.latent),
              .rope = rope};
  if (s.index > 0) {
    rows.index_key = bench.input(past_rows + n, s.index);
    rows.index_norm = bench.norm(s.index);
    rows.index_norm.bias = bench.vector(s.index, 0);
  }
  const Tensor query = bench.input(n, s.heads * (s.nope + s.rope));
  const Tensor out = b.add_tensor(n, s.heads * s.value);
  const Matrix k_b = bench.matrix(Type::f32, s.nope, s.latent, s.heads);
  const Matrix v_b = bench.matrix(Type::f32, s.latent, s.value, s.heads);
  Tensor index_query, index_weights;
  if (s.index > 0) {
    index_query = bench.input(n, s.index_heads * s.index);
    index_weights = bench.input(n, s.index_heads);
  }
  // The last rows are stored where they are asked about.
  KvRows past = rows, last = rows;
  past.latent = rows.latent.top(past_rows);
  last.latent = rows.latent.slice(past_rows, n);
  if (s.index > 0) {
    past.index_key = rows.index_key.top(past_rows);
    last.index_key = rows.index_key.slice(past_rows, n);
  }
  bench.begin(0, past_rows);
  b.store(past);
  bench.begin(past_rows, n);
  if (s.index == 0) b.store(last);
  std::vector<float> all;
  if (s.index > 0) {
    b.store_and_select(last, {.layer = 1,
                              .heads = s.index_heads,
                              .top_k = top_k,
                              .query = index_query,
                              .weights = index_weights,
                              .weight_scale = 0.1f,
                              .rope = rope});
    for (int row = 0; row < n; ++row) {
      for (int position : b.selection(row)) all.push_back(static_cast<float>(position));
    }
  }
  b.attend({.layer = 1,
            .query = query,
            .k_b = k_b,
            .v_b = v_b,
            .rope = rope,
            .scale = 0.2f,
            .selected = s.index > 0,
            .out = out});
  append(all, bench.read(out));
  return all;
}

constexpr Shape kShapes[] = {{1, 4, 4, 16, 4, 1, 16},
                             {5, 12, 8, 36, 20, 9, 32},
                             {11, 20, 16, 128, 12, 3, 64},
                             {2, 16, 64, 512, 8, 0, 0},
                             {5, 8, 32, 544, 8, 0, 0}};

constexpr int kMostPositions = 1 << 20;

// All of a timeline's pages are the same one.
void begin_at(Backend& backend, std::vector<int>& pages, int position) {
  static constexpr Token kToken = 0;
  pages.assign(position / kPageTokens + 1, 0);
  const Sequence sequence{pages, position, 1};
  backend.begin({{&kToken, 1}, {&sequence, 1}});
}

// An angle is the sum of two on the device.
TEST_F(VulkanKernels, TurnKeysWhereverTheyAre) {
  expect_equal([](Bench& bench) {
    constexpr int kLatent = 16, kRope = 64;
    Backend& b = bench.backend();
    b.set_kv_shape({.layers = 1, .latent = kLatent, .rope = kRope});
    std::vector<double> frequencies(kRope / 2);
    for (int i = 0; i < kRope / 2; ++i) frequencies[i] = std::pow(10000.0, -2.0 * i / kRope);
    const Tensor latent = bench.input(1, kLatent + kRope);
    const KvRows rows{
        .latent = latent, .latent_norm = bench.norm(kLatent), .rope = b.add_rope(frequencies)};
    b.reserve_pages(1);
    std::vector<int> pages;
    std::vector<float> all;
    for (int position : {0, 1023, 1024, 70'001, 163'839, kMostPositions - 1}) {
      begin_at(b, pages, position);
      b.store(rows);
      std::vector<std::byte> page(b.page_bytes(kPageTokens));
      b.read_page(0, kPageTokens, page.data());
      std::vector<float> row(kLatent + kRope);
      const std::size_t slot = position % kPageTokens;
      std::memcpy(row.data(), page.data() + slot * b.page_bytes(1), row.size() * sizeof(float));
      append(all, row);
    }
    return all;
  });
}

TEST_F(VulkanKernels, KnowNoAnglesBeyondAMillionPositions) {
  Bench bench(*gpu(), Precision::exact);
  std::vector<int> pages;
  begin_at(bench.backend(), pages, kMostPositions - 1);
  EXPECT_THROW(begin_at(bench.backend(), pages, kMostPositions), ModelError);
}

// More than their shared memory holds.
TEST_F(VulkanKernels, RefuseIndexKeysAndExpertsBeyondTheirRoom) {
  Bench bench(*gpu(), Precision::exact);
  KvShape shape{.layers = 1, .latent = 16, .rope = 4, .index = 1024};
  bench.backend().set_kv_shape(shape);
  shape.index = 2048;
  EXPECT_THROW(bench.backend().set_kv_shape(shape), ModelError);
  const std::vector<float> values(4 * 1025);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(values));
  const auto router_of = [&](std::int64_t experts) {
    return bench.backend().add_router(
        {"router", Type::f32, {4, experts}, bytes.data(), std::size_t(experts) * 16});
  };
  EXPECT_EQ(router_of(1024).rows, 1024);
  EXPECT_THROW(router_of(1025), ModelError);
}

TEST_F(VulkanKernels, StoreSelectAndAttendInF32) {
  for (const Shape& shape : kShapes) {
    for (int n : {1, 3}) {
      expect_equal([&](Bench& bench) { return attended(bench, shape, 20, n); });
    }
  }
}

// The caches of both round to 16 and 8 bits in the same way; a rounding may still fall otherwise.
TEST_F(VulkanKernels, StoreSelectAndAttendWithShortCaches) {
  for (const Shape& shape : kShapes) {
    for (const Precision precision : {Precision::fine, Precision::fast}) {
      expect_equal([&](Bench& bench) { return attended(bench, shape, 20, 2); }, precision,
                   precision, 1e-3f);
    }
  }
}

// More tokens than a workgroup has threads, in lists that several of them attend to.
TEST_F(VulkanKernels, SelectAndAttendToManyTokens) {
  expect_equal([](Bench& bench) { return attended(bench, kShapes[1], 300, 2, 700); });
}

TEST_F(VulkanKernels, SelectEverythingWhileThereIsLittle) {
  expect_equal([](Bench& bench) { return attended(bench, kShapes[1], 200, 2); });
  expect_equal([](Bench& bench) { return attended(bench, kShapes[1], 131, 3); });  // some rows
}

TEST_F(VulkanKernels, FeedForwardOfOddSizes) {
  expect_equal([](Bench& bench) {
    const GatedFfn ffn{bench.matrix(Type::f32, 36, 52), bench.matrix(Type::f32, 36, 52),
                       bench.matrix(Type::f32, 52, 36)};
    const Norm norm = bench.norm(36);
    std::vector<float> all;
    for (int n : {1, 11, 70}) {
      const Tensor x = bench.input(n, 36);
      bench.backend().feed_forward(x, norm, ffn);
      append(all, bench.read(x));
    }
    return all;
  });
}

std::vector<float> mixed(Bench& bench, Router router, bool with_shared, int n, int dim = 36,
                         int width = 28, Type type = Type::f32, Type shared_type = Type::f32) {
  const auto ffn = [&](Type t, int w, int count) {
    return GatedFfn{bench.matrix(t, dim, w, count), bench.matrix(t, dim, w, count),
                    bench.matrix(t, w, dim, count)};
  };
  const int experts = 3 * router.groups;
  router.gate = bench.matrix(Type::f32, dim, experts);
  if (router.normalise) router.bias = bench.vector(experts, 0);
  const GatedFfn chosen = ffn(type, width, experts);
  const int shared_width = type == Type::f32 ? 2 * width + 4 : width / 2;
  const GatedFfn shared = with_shared ? ffn(shared_type, shared_width, 1) : GatedFfn{};
  const Norm norm = bench.norm(dim);
  const Tensor x = bench.input(n, dim);
  bench.backend().mix_experts(x, norm, router, chosen, shared);
  return bench.read(x);
}

// Dense, of one row and of many; and experts, alone and grouped.
TEST_F(VulkanKernels, GateAndUpMayDifferInType) {
  expect_equal(
      [](Bench& bench) {
        const auto ffn = [&bench](int width, int count, bool differ) {
          return GatedFfn{bench.matrix(Type::q4_k, 256, width, count),
                          bench.matrix(differ ? Type::q6_k : Type::q4_k, 256, width, count),
                          bench.matrix(Type::q4_k, width, 256, count)};
        };
        const Norm norm = bench.norm(256);
        Router router{.used = 2};
        router.gate = bench.matrix(Type::f32, 256, 5);
        std::vector<float> all;
        for (int n : {1, 20}) {
          const Tensor x = bench.input(n, 256);
          bench.backend().feed_forward(x, norm, ffn(512, 1, true));
          for (bool shared_differs : {false, true}) {
            bench.backend().mix_experts(x, norm, router, ffn(256, 5, !shared_differs),
                                        ffn(256, 1, shared_differs));
          }
          append(all, bench.read(x));
        }
        return all;
      },
      Precision::fast, Precision::exact, 2e-3f);
}

TEST_F(VulkanKernels, MixExpertsForOneRowAndForManyGroupedByExpert) {
  const Router v3{.gating = Gating::sigmoid,
                  .used = 3,
                  .groups = 4,
                  .groups_used = 2,
                  .normalise = true,
                  .scale = 2.5f};
  for (int n : {1, 5, 43}) {
    expect_equal([&](Bench& bench) { return mixed(bench, v3, true, n); });
    expect_equal([&](Bench& bench) { return mixed(bench, {.used = 2}, n == 5, n); });
  }
}

TEST_F(VulkanKernels, MixExpertsWhoseFormatIsNotThatOfTheSharedOnes) {
  for (int n : {1, 3}) {
    expect_equal(
        [&](Bench& bench) {
          return mixed(bench, {.used = 2}, true, n, 256, 512, Type::q4_k, Type::q8_0);
        },
        Precision::fast, Precision::exact, 1e-3f);
  }
}

// The GPU adds weights up in another order: next to a border between two tokens it may take the
// other one, which a number a little away takes on the CPU.
void expect_same_tokens(Backend& gpu, const Tensor& logits, std::span<const Draw> draws,
                        const std::vector<float>& values) {
  std::vector<Token> tokens(draws.size());
  gpu.draw(logits, 0, draws, tokens);
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const std::span<const float> row = std::span(values).subspan(i * logits.width, logits.width);
    const double random = random_number(random_state(draws[i].seed, draws[i].nth));
    std::vector<Token> accepted;
    for (double away : {0.0, 1e-5, -1e-5}) {
      accepted.push_back(draw_token(row, draws[i], std::clamp(random + away, 0.0, 1 - 1e-9)));
    }
    EXPECT_TRUE(std::ranges::count(accepted, tokens[i]))
        << "temperature " << draws[i].temperature << ", top_p " << draws[i].top_p << ", random "
        << random << ": " << tokens[i] << " instead of " << accepted[0];
  }
}

TEST_F(VulkanKernels, DrawTheTokensThatTheCpuDraws) {
  constexpr int kRows = 12;
  Bench gpu_bench(*gpu(), Precision::exact), cpu_bench("cpu", Precision::exact);
  for (int vocab : {1, 5, 300, 4001}) {
    const Tensor logits = gpu_bench.input(kRows, vocab);
    const std::vector<float> values = cpu_bench.read(cpu_bench.input(kRows, vocab));
    std::vector<std::uint64_t> mask((vocab + 63) / 64, 0x5555'0000'FFFF'1357);
    for (double temperature : {0.0, 0.2, 1.0}) {
      for (double top_p : {0.0, 0.5, 0.95, 1.0}) {
        std::vector<Draw> draws(kRows, {.temperature = temperature, .top_p = top_p});
        for (int i = 0; i < kRows; ++i) {
          draws[i].seed = 0x1234'5678'9ABC'DEF0ull * (vocab + i);
          draws[i].nth = std::uint64_t{1} << 5 * i;
          if (i % 3 == 1) draws[i].min_p = 0.1;
          if (i % 4 == 1) draws[i].allowed = mask;
          if (i % 4 == 2 && vocab > 5) draws[i].n_tokens = vocab - 3;
        }
        expect_same_tokens(gpu_bench.backend(), logits, draws, values);
      }
    }
  }
}

// Equal logits, of which the first is greedy's and the others are drawn by their ids.
TEST_F(VulkanKernels, DrawAmongEquals) {
  Bench bench(*gpu(), Precision::exact);
  constexpr int kTokens = 100, kDraws = 40;
  const Tensor logits = bench.constant(kDraws, kTokens, 0);
  for (double top_p : {0.5, 1.0}) {
    std::vector<Draw> draws(kDraws, {.temperature = 1, .top_p = top_p});
    for (int i = 0; i < kDraws; ++i) draws[i].seed = i;
    expect_same_tokens(bench.backend(), logits, draws, std::vector<float>(kTokens * kDraws));
  }
  std::vector<Token> token(1);
  const Draw greedy;
  bench.backend().draw(logits, 0, {&greedy, 1}, token);
  EXPECT_EQ(token[0], 0);
}

TEST_F(VulkanKernels, DrawNothingFromWhatIsNoNumber) {
  Bench bench(*gpu(), Precision::exact);
  const Tensor logits = bench.constant(2, 36, NAN);
  const Draw draws[] = {{}, {.temperature = 1}};
  std::vector<Token> tokens(2);
  bench.backend().draw(logits, 0, draws, tokens);
  EXPECT_EQ(tokens, (std::vector<Token>{-1, -1}));
}

// What every kernel makes of subgroups, or of 8-bit values.
std::vector<float> some_of_everything(Bench& bench) {
  std::vector<float> all = product(bench, bench.matrix(Type::q4_k, 512, 33), true, 3);
  append(all, mixed(bench, {.used = 2, .groups = 3, .groups_used = 2}, true, 1, 256, 512,
                    Type::q4_k, Type::q4_k));
  append(all, attended(bench, {11, 20, 16, 128, 12, 3, 64}, 20, 3));
  return all;
}

TEST_F(VulkanKernels, GiveTheSameBitsWithSubgroupsOfEverySizeAndWithout) {
  const auto run = [](const Abilities& abilities) {
    Bench bench(abilities, Precision::fast);
    return some_of_everything(bench);
  };
  const std::vector<float> wanted = run(every_ability()[0]);
  std::string tested;
  for (const Abilities& abilities : std::span(every_ability()).subspan(1)) {
    EXPECT_EQ(run(abilities), wanted) << "subgroups of " << abilities.subgroup_size;
    tested += std::to_string(abilities.subgroup_size) + " ";
  }
  RecordProperty("subgroup_sizes", tested);
}

TEST_F(VulkanKernels, DoTheSameWithSubgroupsOfSixteenOnASoftwareDevice) {
  if (device_info().kind != DeviceKind::software) GTEST_SKIP();
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command =
      std::string(kOtherSize) + "=512 " + program +
      " --gtest_brief=1 --gtest_filter=VulkanKernels.*-*Draw*:*Page*:*Sixteen*";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_F(VulkanKernels, ADeviceWithoutTheAbilitiesThatAreAskedForIsRefused) {
  const DeviceInfo device = device_info();
  for (int size : {1, 7, 8, 16, 32, 64, 128}) {
    const bool offered = std::ranges::count(device.subgroup_sizes, size) > 0;
    if (offered) continue;
    EXPECT_THROW(Device(gpu_index(), 0, {.subgroup_size = size}), ModelError) << size;
  }
}

TEST_F(VulkanKernels, NarrowKeepsRowsAndWhatBelongsToThem) {
  expect_equal([](Bench& bench) {
    const Tensor x = bench.input(20, 70);
    bench.begin(0, 20);
    const int rows[] = {0, 5, 6, 19};
    bench.backend().narrow(x, rows);
    return bench.read(x.top(4));
  });
}

TEST_F(VulkanKernels, PagesAreCopiedAndGoToTheCpuAndBack) {
  const KvShape shape{.layers = 3, .latent = 20, .rope = 8, .index = 16};
  for (Precision precision : {Precision::exact, Precision::fine, Precision::fast}) {
    Bench gpu_bench(*gpu(), precision), cpu_bench("cpu", precision);
    Backend &a = gpu_bench.backend(), &b = cpu_bench.backend();
    for (Backend* backend : {&a, &b}) {
      backend->set_kv_shape(shape);
      backend->reserve_pages(3);
    }
    EXPECT_EQ(a.cache_format(), b.cache_format());
    ASSERT_EQ(a.page_bytes(50), b.page_bytes(50));
    std::vector<std::byte> bytes(a.page_bytes(50)), copy(bytes.size());
    std::mt19937 random(3);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    a.write_page(2, 50, bytes.data());
    a.copy_page(2, 0);
    a.read_page(0, 50, copy.data());
    EXPECT_EQ(copy, bytes);
  }
}

}  // namespace
}  // namespace corvid::model::testing
