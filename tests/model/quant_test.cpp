#include "model/files/quant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace corvid::model {
namespace {

TEST(Quant, EveryHalfSurvivesTheWayToF32AndBack) {
  for (std::uint32_t half = 0; half <= 0xFFFF; ++half) {
    const float value = f16_to_f32(static_cast<std::uint16_t>(half));
    if ((half & 0x7C00) == 0x7C00 && (half & 0x3FF)) {
      EXPECT_TRUE(std::isnan(value)) << half;
      continue;
    }
    EXPECT_EQ(f32_to_f16(value), half);
  }
}

TEST(Quant, HalvesHaveTheirValues) {
  EXPECT_EQ(f16_to_f32(0x3C00), 1.0f);
  EXPECT_EQ(f16_to_f32(0xC000), -2.0f);
  EXPECT_EQ(f16_to_f32(0x7BFF), 65504.0f);
  EXPECT_EQ(f16_to_f32(0x0001), 0x1p-24f);
  EXPECT_EQ(f16_to_f32(0x03FF), 1023 * 0x1p-24f);
  EXPECT_TRUE(std::signbit(f16_to_f32(0x8000)));
  EXPECT_EQ(f16_to_f32(0x7C00), std::numeric_limits<float>::infinity());
}

TEST(Quant, F16RoundsToNearestEven) {
  EXPECT_EQ(f32_to_f16(1 + 0x1p-11f), 0x3C00);             // tie: down to even
  EXPECT_EQ(f32_to_f16(1 + 3 * 0x1p-11f), 0x3C02);         // tie: up to even
  EXPECT_EQ(f32_to_f16(1 + 0x1p-11f + 0x1p-20f), 0x3C01);  // above the tie
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);
  EXPECT_EQ(f32_to_f16(0x1.8p-24f), 0x0002);
  EXPECT_EQ(f32_to_f16(0x1p-14f - 0x1p-26f), 0x0400);  // a subnormal that rounds up to normal
}

TEST(Quant, Bf16IsTheUpperHalfRounded) {
  EXPECT_EQ(bf16_to_f32(0x3F80), 1.0f);
  EXPECT_EQ(f32_to_bf16(1 + 0x1p-8f), 0x3F80);
  EXPECT_EQ(f32_to_bf16(1 + 3 * 0x1p-8f), 0x3F82);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::nanf("")))));
}

TEST(Quant, Q8_0IsScaleTimesIntegers) {
  std::vector<std::byte> row(68);
  const std::uint16_t half_one = 0x3800;  // 0.5
  std::memcpy(row.data(), &half_one, 2);
  std::memcpy(row.data() + 34, &half_one, 2);
  for (int i = 0; i < 32; ++i) {
    row[2 + i] = static_cast<std::byte>(i - 16);
    row[36 + i] = static_cast<std::byte>(127);
  }
  std::vector<float> out(64);
  dequantize_row(Type::q8_0, row.data(), out);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(out[i], 0.5f * (i - 16));
    EXPECT_EQ(out[32 + i], 63.5f);
  }
}

TEST(Quant, QuantisingToQ8_0StaysWithinHalfAStep) {
  std::vector<float> values(96);
  for (int i = 0; i < 96; ++i) values[i] = std::sin(i * 0.7f) * (i < 32 ? 0 : i < 64 ? 3 : 100);
  std::vector<std::byte> row(row_bytes(Type::q8_0, 96));
  quantize_row_q8_0(values, row.data());
  std::vector<float> back(96);
  dequantize_row(Type::q8_0, row.data(), back);
  for (int i = 0; i < 96; ++i) {
    const float largest = i < 32 ? 0 : i < 64 ? 3 : 100;
    EXPECT_NEAR(back[i], values[i], largest / 127 * 0.52f) << i;
  }
}

TEST(Quant, RowsOfPlainTypes) {
  const std::vector<float> values = {1, -2.5f, 0.125f};
  std::vector<std::byte> f16(6), bf16(6);
  for (int i = 0; i < 3; ++i) {
    const std::uint16_t half = f32_to_f16(values[i]), brain = f32_to_bf16(values[i]);
    std::memcpy(&f16[2 * i], &half, 2);
    std::memcpy(&bf16[2 * i], &brain, 2);
  }
  std::vector<float> out(3);
  dequantize_row(Type::f32, reinterpret_cast<const std::byte*>(values.data()), out);
  EXPECT_EQ(out, values);
  dequantize_row(Type::f16, f16.data(), out);
  EXPECT_EQ(out, values);
  dequantize_row(Type::bf16, bf16.data(), out);
  EXPECT_EQ(out, values);
}

TEST(Quant, KnowsTypesBySizeAndName) {
  EXPECT_EQ(type_from_ggml(8), Type::q8_0);
  EXPECT_EQ(type_from_ggml(19), std::nullopt);
  EXPECT_EQ(type_from_ggml(4), std::nullopt);
  EXPECT_EQ(type_from_ggml(1000), std::nullopt);
  EXPECT_EQ(ggml_type_name(19), "IQ1_S");
  EXPECT_EQ(ggml_type_name(5), "unknown");
  EXPECT_EQ(row_bytes(Type::q8_0, 64), 68u);
  EXPECT_EQ(row_bytes(Type::f32, 3), 12u);
}

}  // namespace
}  // namespace corvid::model
