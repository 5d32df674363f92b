// Each operation of the GPU alone, against the CPU's scalar one, over odd sizes.
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <functional>
#include <numeric>
#include <random>

#include "model/compute/make_backend.h"
#include "tests/model/gpu.h"
#include "tests/model/random_blocks.h"

namespace corvid::model::testing {
namespace {

// A back end with random data in it: equal seeds make equal data.
class Bench {
 public:
  Bench(const std::string& backend, Precision precision) {
    std::string note;
    backend_ = make_backend(
        {.name = backend, .threads = 1, .kernels = "scalar", .precision = precision}, note);
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
    std::vector<float>& values = normal(std::size_t(rows) * columns, 1);
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
  // Rows of one timeline, on pages in reverse order.
  void begin(int past, int n) {
    tokens_.assign(n, 0);
    pages_.resize((past + n + kPageTokens - 1) / kPageTokens);
    std::iota(pages_.rbegin(), pages_.rend(), 0);
    sequence_ = {pages_, past, n};
    backend_->begin({tokens_, {&sequence_, 1}});
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

class VulkanKernels : public ::testing::Test {
 protected:
  void SetUp() override { CORVID_NEEDS_GPU(); }

  // What `work` returns on the GPU and on the CPU.
  template <class Work>
  static void expect_equal(Work work, Precision precision, Precision cpu_precision, float bound) {
    Bench gpu_bench(*gpu(), precision), cpu_bench("cpu", cpu_precision);
    const std::vector<float> got = work(gpu_bench), wanted = work(cpu_bench);
    ASSERT_EQ(got.size(), wanted.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], wanted[i], bound * (1 + std::fabs(wanted[i]))) << "value " << i;
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
      for (int n : {1, 3, 9, 19}) {
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
          append(all, product(bench, matrix, true, 9));
        }
        return all;
      },
      Precision::fast, Precision::exact, 2e-4f);
}

struct Shape {
  int heads, nope, rope, latent, value, index_heads, index;
};

// What a layer's cache holds after 130 tokens, and what three more rows make of it.
std::vector<float> attended(Bench& bench, const Shape& s, int top_k, int n) {
  constexpr int kPast = 130;
  Backend& b = bench.backend();
  b.set_kv_shape({.layers = 2, .latent = s.latent, .rope = s.rope, .index = s.index});
  std::vector<double> frequencies(s.rope / 2);
  for (int i = 0; i < s.rope / 2; ++i) frequencies[i] = std::pow(10000.0, -2.0 * i / s.rope);
  const Rope rope = b.add_rope(frequencies);
  b.reserve_pages(4);
  KvRows rows{.layer = 1,
              .latent = bench.input(kPast + n, s.latent + s.rope),
              .latent_norm = bench.norm(s.latent),
              .rope = rope};
  if (s.index > 0) {
    rows.index_key = bench.input(kPast + n, s.index);
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
  bench.begin(0, kPast + n);
  b.store(rows);
  bench.begin(kPast, n);
  std::vector<float> all;
  if (s.index > 0) {
    b.select({.layer = 1,
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
                             {2, 16, 64, 512, 8, 0, 0}};

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
    expect_equal([&](Bench& bench) { return attended(bench, shape, 20, 2); }, Precision::fast,
                 Precision::fast, 1e-3f);
  }
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
    for (int n : {1, 3, 11}) {
      const Tensor x = bench.input(n, 36);
      bench.backend().feed_forward(x, norm, ffn);
      append(all, bench.read(x));
    }
    return all;
  });
}

std::vector<float> mixed(Bench& bench, Router router, bool with_shared, int n) {
  constexpr int kDim = 36, kWidth = 28;
  const auto ffn = [&](int width, int count) {
    return GatedFfn{bench.matrix(Type::f32, kDim, width, count),
                    bench.matrix(Type::f32, kDim, width, count),
                    bench.matrix(Type::f32, width, kDim, count)};
  };
  const int experts = 3 * router.groups;
  router.gate = bench.matrix(Type::f32, kDim, experts);
  if (router.normalise) router.bias = bench.vector(experts, 0);
  const GatedFfn chosen = ffn(kWidth, experts);
  const GatedFfn shared = with_shared ? ffn(2 * kWidth + 4, 1) : GatedFfn{};
  const Norm norm = bench.norm(kDim);
  const Tensor x = bench.input(n, kDim);
  bench.backend().mix_experts(x, norm, router, chosen, shared);
  return bench.read(x);
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
  for (Precision precision : {Precision::exact, Precision::fast}) {
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
