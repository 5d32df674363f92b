// Every kernel of every set that this machine can run, against the scalar one, over odd sizes.
#include "model/compute/cpu/kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "model/compute/cpu/packed_matrix.h"
#include "model/compute/cpu/threads.h"
#include "model/error.h"
#include "tests/model/random_blocks.h"

namespace corvid::model {
namespace {

using testing::encode;
using testing::random_blocks;

std::vector<std::string> simd_sets() {
  std::vector<std::string> sets;
  for (const char* name : {"avx2", "avxvnni", "avx512", "amx", "neon", "neondot"}) {
    try {
      sets.emplace_back(choose_kernels(name).name);
    } catch (const ModelError&) {
    }
  }
  return sets;
}

class Kernel : public ::testing::TestWithParam<std::string> {
 protected:
  const Kernels& scalar_ = scalar_kernels();
  const Kernels& simd_ = choose_kernels(GetParam());
  std::mt19937 random_{7};

  std::vector<float> normal(std::size_t n, float width = 1) {
    std::normal_distribution<float> values(0, width);
    std::vector<float> out(n);
    for (float& value : out) value = values(random_);
    return out;
  }
  static void expect_close(std::span<const float> a, std::span<const float> b, float bound) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      ASSERT_NEAR(a[i], b[i], bound * (1 + std::fabs(b[i]))) << "value " << i;
    }
  }
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Kernel);

constexpr Type kMultiplied[] = {Type::f32,     Type::f16,  Type::bf16, Type::q4_0,   Type::q4_1,
                                Type::q5_0,    Type::q5_1, Type::q8_0, Type::q2_k,   Type::q3_k,
                                Type::q4_k,    Type::q5_k, Type::q6_k, Type::iq4_nl, Type::iq4_xs,
                                Type::iq2_xxs, Type::mxfp4};

struct Prepared {
  std::vector<float> values;
  std::vector<std::int8_t> codes;
  std::vector<InputBlock> blocks;
  int k;

  Prepared(std::vector<float> x, int columns, const Kernels& kernels)
      : values(std::move(x)), codes(values.size()), blocks(values.size() / kBlock), k(columns) {
    kernels.quantize(values.data(), static_cast<int>(values.size()), codes.data(), blocks.data());
  }
  Input input() const { return {values.data(), k, codes.data(), k, blocks.data(), k / kBlock}; }
};

// What goes through the panels is what the rows hold: against the scalar conversion, in float64.
TEST(Kernels, ScalarProductsAreThoseOfTheConvertedRows) {
  std::mt19937 random(5);
  Team team(1);
  for (Type type : kMultiplied) {
    for (int k : {32, 1280}) {
      if (k % traits(type).block_elements != 0) k = 768;
      constexpr int kRows = 40, kInputs = 3;
      std::vector<float> x(std::size_t(kInputs) * k), w(std::size_t(kRows) * k);
      std::normal_distribution<float> normal;
      for (float& value : x) value = normal(random);
      for (float& value : w) value = normal(random);
      const std::vector<std::byte> data =
          is_quantized(type) ? random_blocks(type, w.size(), random) : encode(type, w);
      dequantize_row(type, data.data(), w);
      const PackedMatrix m({"m", type, {k, kRows}, data.data(), data.size()}, type, team);
      const Prepared in(x, k, scalar_kernels());
      const std::byte* const panels[3] = {m.panel(0, 0), m.panel(0, 1), m.panel(0, 2)};
      std::vector<float> out(kInputs * 48);
      scalar_kernels().multiply[static_cast<int>(type)](panels, 3, k, in.input(), nullptr, kInputs,
                                                        out.data(), 48);
      for (int i = 0; i < kInputs * kRows; ++i) {
        const int t = i / kRows, r = i % kRows;
        double sum = 0, size = 0;
        for (int j = 0; j < k; ++j) {
          const std::size_t at = std::size_t(t) * k + j;
          const double value =
              is_quantized(type) ? double(in.codes[at]) * in.blocks[at / kBlock].scale : x[at];
          sum += value * w[std::size_t(r) * k + j];
          size += std::fabs(value * w[std::size_t(r) * k + j]);
        }
        ASSERT_NEAR(out[t * 48 + r], sum, 2e-6 * size)
            << traits(type).name << ", " << k << " columns, row " << r;
      }
      for (int r = kRows; r < 48; ++r) ASSERT_EQ(out[r], 0);  // beyond the last row
    }
  }
}

TEST_P(Kernel, MultipliesPanelsOfEveryTypeWithAnyNumberOfRows) {
  Team team(1);
  for (Type type : kMultiplied) {
    for (int k : {32, 96, 544, 1024}) {
      if (k % traits(type).block_elements != 0) continue;
      const std::size_t size = std::size_t(k) * 56;
      const std::vector<std::byte> data = is_quantized(type) ? random_blocks(type, size, random_)
                                                             : encode(type, normal(size, 0.1f));
      const PackedMatrix m({"m", type, {k, 56}, data.data(), data.size()}, type, team);
      for (int n : {1, 2, 3, 5, 6, 11, 12, 13, 29, 32, 53}) {
        const Prepared in(normal(std::size_t(n) * k), k, scalar_);
        std::vector<int> rows(n);
        for (int i = 0; i < n; ++i) rows[i] = (i * 7 + 3) % n;
        for (int panels : {1, 2, 3, 4}) {
          const std::byte* four[4];
          for (int p = 0; p < 4; ++p) four[p] = m.panel(0, p);
          std::vector<float> a(n * 64, -1.0f), b(n * 64, -1.0f), alone(64);
          const auto id = static_cast<int>(type);
          scalar_.multiply[id](four, panels, k, in.input(), rows.data(), n, a.data(), 64);
          simd_.multiply[id](four, panels, k, in.input(), rows.data(), n, b.data(), 64);
          SCOPED_TRACE(std::string(traits(type).name) + ", columns " + std::to_string(k) +
                       ", rows " + std::to_string(n));
          expect_close(b, a, 3e-4f);
          // To the bit: a row has the same products in a prefill as alone.
          simd_.multiply[id](four, panels, k, in.input(), &rows[n - 1], 1, alone.data(), 64);
          for (int c = 0; c < panels * 16; ++c) ASSERT_EQ(alone[c], b[(n - 1) * 64 + c]);
        }
      }
    }
  }
}

TEST_P(Kernel, QuantizesToTheSameCodes) {
  for (int n : {32, 64, 1024}) {
    std::vector<float> x = normal(n, 3);
    std::fill_n(x.begin(), 32, 0.0f);  // a block of zeros has no scale
    const Prepared a(x, n, scalar_), b(x, n, simd_);
    EXPECT_EQ(a.codes, b.codes);
    for (int i = 0; i < n / kBlock; ++i) {
      EXPECT_EQ(a.blocks[i].offset, b.blocks[i].offset);
      const auto close = [](float p, float q) { EXPECT_NEAR(p, q, 1e-6f * (1 + std::fabs(q))); };
      close(b.blocks[i].scale, a.blocks[i].scale);
      close(b.blocks[i].sum, a.blocks[i].sum);
      close(b.blocks[i].half_sum[0], a.blocks[i].half_sum[0]);
      close(b.blocks[i].half_sum[1], a.blocks[i].half_sum[1]);
    }
  }
}

TEST_P(Kernel, Sums) {
  std::vector<float> values(64 * 3);  // whole numbers, whose sums are exact
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * i % 97);
  const float sum = std::accumulate(values.begin(), values.end(), 0.0f);
  EXPECT_EQ(scalar_.sum(values.data(), values.size()), sum);
  EXPECT_EQ(simd_.sum(values.data(), values.size()), sum);
  EXPECT_EQ(simd_.sum(values.data(), 0), 0);
}

TEST_P(Kernel, NormalisesAndGates) {
  for (int n : {1, 7, 16, 31, 32, 100, 1024}) {
    const std::vector<float> x = normal(n, 4), w = normal(n);
    std::vector<float> a(n), b(n);
    scalar_.rms_norm(x.data(), w.data(), n, 1e-6f, a.data());
    simd_.rms_norm(x.data(), w.data(), n, 1e-6f, b.data());
    expect_close(b, a, 1e-5f);
    scalar_.gate(x.data(), w.data(), 0.7f, n, a.data());
    simd_.gate(x.data(), w.data(), 0.7f, n, b.data());
    expect_close(b, a, 1e-5f);
  }
  const std::vector<float> extreme = {-200, -90, -1e-30f, 0, 1e-30f, 90, 200, 5,
                                      -200, -90, -1e-30f, 0, 1e-30f, 90, 200, 5};
  const std::vector<float> ones(16, 1.0f);
  std::vector<float> a(16), b(16);
  scalar_.gate(extreme.data(), ones.data(), 1, 16, a.data());
  simd_.gate(extreme.data(), ones.data(), 1, 16, b.data());
  expect_close(b, a, 1e-5f);
}

TEST_P(Kernel, AttendsOverTilesOfAnySize) {
  for (const auto& [heads, width, latent] :
       {std::tuple{1, 32, 16}, {5, 80, 64}, {16, 160, 128}, {19, 576, 512}}) {
    const std::vector<float> query = normal(heads * width, 0.1f);
    for (bool exact : {true, false}) {
      std::vector<float> weighted[2], largest[2], sum[2];
      for (int set : {0, 1}) {
        largest[set].assign(heads, -INFINITY);
        sum[set].assign(heads, 0);
        weighted[set].assign(heads * latent, 0);
      }
      for (int n : {1, 3, 4, 16, 31, 128}) {
        const std::vector<float> cache = normal(n * width);
        const std::vector<std::byte> halves = encode(Type::f16, cache);
        std::vector<const void*> rows(n);
        for (int t = 0; t < n; ++t) {
          rows[t] = exact ? static_cast<const void*>(cache.data() + t * width)
                          : halves.data() + std::size_t(t) * width * 2;
        }
        for (int set : {0, 1}) {
          const Kernels& kernels = set == 0 ? scalar_ : simd_;
          std::vector<float> scratch(heads * (kTileTokens + width));
          const AttentionTile tile{.query = query.data(),
                                   .heads = heads,
                                   .width = width,
                                   .latent = latent,
                                   .rows = rows.data(),
                                   .n = n,
                                   .ahead = rows.data(),
                                   .n_ahead = n == 16 ? 0 : n,
                                   .scratch = scratch.data()};
          const SoftmaxState state{largest[set].data(), sum[set].data(), weighted[set].data()};
          (exact ? kernels.attend_f32 : kernels.attend_f16)(tile, state);
        }
      }
      const float bound = exact ? 1e-4f : 1e-2f;
      for (int i = 0; i < heads * latent; ++i) {
        weighted[0][i] /= sum[0][i / latent];
        weighted[1][i] /= sum[1][i / latent];
      }
      expect_close(weighted[1], weighted[0], bound);
    }
  }
}

TEST_P(Kernel, ScoresIndexKeys) {
  for (const auto& [heads, width] : {std::pair{1, 16}, {5, 64}, {16, 128}, {23, 128}}) {
    const std::vector<float> query = normal(heads * width), weights = normal(heads);
    const std::vector<float> keys = normal(width * kPageKeys), key_scales = normal(kPageKeys);
    std::vector<float> a(kPageKeys), b(kPageKeys);
    scalar_.index_f32(query.data(), weights.data(), heads, width, keys.data(), a.data());
    simd_.index_f32(query.data(), weights.data(), heads, width, keys.data(), b.data());
    expect_close(b, a, 1e-4f);
    std::vector<std::int8_t> codes(heads * width);
    std::vector<std::int32_t> offsets(heads);
    std::vector<std::uint8_t> key_codes(width * kPageKeys);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      codes[i] = static_cast<std::int8_t>(static_cast<int>(random_() % 255) - 127);
      offsets[i / width] -= 128 * codes[i];
    }
    for (std::uint8_t& code : key_codes) code = static_cast<std::uint8_t>(1 + random_() % 255);
    scalar_.index_q8(codes.data(), offsets.data(), weights.data(), heads, width, key_codes.data(),
                     key_scales.data(), key_codes.data(), a.data());
    simd_.index_q8(codes.data(), offsets.data(), weights.data(), heads, width, key_codes.data(),
                   key_scales.data(), key_codes.data(), b.data());
    expect_close(b, a, 1e-4f);
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, Kernel, ::testing::ValuesIn(simd_sets()),
                         [](const auto& info) { return info.param; });

TEST(Kernels, UnknownSetsAreRefusedByNameWithTheOnesThereAre) {
  try {
    choose_kernels("avx9");
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_THAT(std::string(error.what()), ::testing::ContainsRegex("avx9.*auto, scalar"));
  }
}

}  // namespace
}  // namespace corvid::model
