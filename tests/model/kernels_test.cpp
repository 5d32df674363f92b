// Every kernel of every set that this machine can run, against the scalar one, over odd sizes.
#include "model/compute/cpu/kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "model/compute/cpu/packed_matrix.h"
#include "model/compute/cpu/threads.h"
#include "model/error.h"

namespace corvid::model {
namespace {

std::vector<std::string> simd_sets() {
  std::vector<std::string> sets;
  for (const char* name : {"avx2", "avx512", "neon"}) {
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

std::vector<std::byte> encode(Type type, std::span<const float> values) {
  std::vector<std::byte> out(row_bytes(type, static_cast<std::int64_t>(values.size())));
  if (type == Type::q8_0) {
    quantize_row_q8_0(values, out.data());
    return out;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t half = type == Type::f16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
    if (type == Type::f32) std::memcpy(out.data() + 4 * i, &values[i], 4);
    if (type != Type::f32) std::memcpy(out.data() + 2 * i, &half, 2);
  }
  return out;
}

TEST_P(Kernel, MultipliesPanelsOfEveryLayoutWithAnyNumberOfRows) {
  Team team(1);
  for (Type type : {Type::f32, Type::f16, Type::bf16, Type::q8_0}) {
    for (int k : {32, 96, 1024}) {
      const std::vector<std::byte> data = encode(type, normal(std::size_t(k) * 40, 0.1f));
      const PackedMatrix m({"m", type, {k, 40}, data.data(), data.size()}, team);
      for (int n : {1, 2, 3, 5, 6, 11, 12, 13, 29}) {
        const std::vector<float> x = normal(std::size_t(n) * k);
        std::vector<std::int8_t> codes(x.size());
        std::vector<float> scales(x.size() / kBlock);
        std::vector<std::int32_t> offsets(scales.size());
        scalar_.quantize(x.data(), n * k, codes.data(), scales.data(), offsets.data());
        const Input input{x.data(), k, codes.data(), k, scales.data(), offsets.data(), k / kBlock};
        std::vector<int> rows(n);
        for (int i = 0; i < n; ++i) rows[i] = (i * 7 + 3) % n;
        for (int panels : {1, 2}) {
          const std::byte* const two[2] = {m.panel(0, 1), m.panel(0, 2)};
          std::vector<float> a(n * 32), b(n * 32);
          const auto layout = static_cast<int>(m.layout());
          scalar_.multiply[layout](two, panels, k, input, rows.data(), n, a.data(), 32);
          simd_.multiply[layout](two, panels, k, input, rows.data(), n, b.data(), 32);
          expect_close(b, a, 1e-4f);
        }
      }
    }
  }
}

TEST_P(Kernel, QuantizesToTheSameCodes) {
  for (int n : {32, 64, 1024}) {
    std::vector<float> x = normal(n, 3);
    std::fill_n(x.begin(), 32, 0.0f);  // a block of zeros has no scale
    std::vector<std::int8_t> codes[2] = {std::vector<std::int8_t>(n), std::vector<std::int8_t>(n)};
    std::vector<float> scales[2] = {std::vector<float>(n / 32), std::vector<float>(n / 32)};
    std::vector<std::int32_t> offsets[2] = {std::vector<std::int32_t>(n / 32),
                                            std::vector<std::int32_t>(n / 32)};
    scalar_.quantize(x.data(), n, codes[0].data(), scales[0].data(), offsets[0].data());
    simd_.quantize(x.data(), n, codes[1].data(), scales[1].data(), offsets[1].data());
    EXPECT_EQ(codes[0], codes[1]);
    EXPECT_EQ(offsets[0], offsets[1]);
    expect_close(scales[1], scales[0], 1e-6f);
  }
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
        const std::vector<std::byte> halves = encode(Type::bf16, cache);
        std::vector<const void*> rows(n);
        for (int t = 0; t < n; ++t) {
          rows[t] = exact ? static_cast<const void*>(cache.data() + t * width)
                          : halves.data() + std::size_t(t) * width * 2;
        }
        for (int set : {0, 1}) {
          const Kernels& kernels = set == 0 ? scalar_ : simd_;
          std::vector<float> scratch(heads * (kTileTokens + width));
          const AttentionTile tile{query.data(), heads, width,         latent,
                                   rows.data(),  n,     scratch.data()};
          const SoftmaxState state{largest[set].data(), sum[set].data(), weighted[set].data()};
          (exact ? kernels.attend_f32 : kernels.attend_bf16)(tile, state);
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
                     key_scales.data(), a.data());
    simd_.index_q8(codes.data(), offsets.data(), weights.data(), heads, width, key_codes.data(),
                   key_scales.data(), b.data());
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
