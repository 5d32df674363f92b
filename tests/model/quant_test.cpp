#include "model/files/quant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "model/files/quant_blocks.h"

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

std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> bytes(text.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  }
  return bytes;
}

// Random blocks and what ggml makes of them (tests/vectors/make_quant_blocks.py).
TEST(Quant, BlocksOfEveryTypeHaveTheValuesOfTheReference) {
  std::ifstream in(std::string(CORVID_SOURCE_DIR) + "/tests/vectors/quant-blocks.json");
  const auto vectors = nlohmann::json::parse(in);
  int types = 0;
  for (std::uint32_t id = 0; id < kTypeIds; ++id) {
    const std::optional<Type> type = type_from_ggml(id);
    if (!type || !is_quantized(*type)) continue;
    ++types;
    const auto& vector = vectors.at(std::string(traits(*type).name));
    const std::vector<std::byte> row = from_hex(vector["blocks"]);
    const std::vector<std::byte> values = from_hex(vector["f32"]);
    const std::size_t n = values.size() / 4;
    ASSERT_EQ(row.size(), row_bytes(*type, static_cast<std::int64_t>(n)));
    std::vector<float> wanted(n), out(n);
    std::memcpy(wanted.data(), values.data(), values.size());
    dequantize_row(*type, row.data(), out);
    for (std::size_t i = 0; i < n; ++i) {
      // The reference may fuse a multiplication and a subtraction.
      ASSERT_NEAR(out[i], wanted[i], 1e-6f * (0.05f + std::fabs(wanted[i])))
          << ggml_type_name(id) << " value " << i;
    }
  }
  EXPECT_EQ(types, 14);
}

// Made by hand from the layouts' description: one value of each part of a block.
TEST(Quant, Q4_KPacksTheScalesOfItsLastGroupsIntoTheUpperBitsOfTheFirst) {
  std::vector<std::byte> row(144);
  const std::uint16_t one = 0x3C00, two = 0x4000;
  std::memcpy(row.data(), &one, 2);
  std::memcpy(row.data() + 2, &two, 2);
  row[4 + 0] = std::byte{0b11'000101};  // group 0: scale 5; group 4: scale's upper bits 3
  row[4 + 4] = std::byte{0b10'000011};  // group 0: minimum 3; group 4: minimum's upper bits 2
  row[4 + 8] = std::byte{0b0110'1001};  // group 4: scale's lower bits 9, minimum's 6
  row[16 + 7] = std::byte{0xC4};        // value 7 of group 0: 4; of group 1: 12
  row[16 + 64 + 31] = std::byte{0x0F};  // value 31 of group 4: 15
  std::vector<float> out(256);
  dequantize_row(Type::q4_k, row.data(), out);
  EXPECT_EQ(out[7], 5 * 4 - 2 * 3);
  EXPECT_EQ(out[0], -2 * 3);
  EXPECT_EQ(out[32 + 7], 0);  // group 1 has scale and minimum 0
  EXPECT_EQ(out[4 * 32 + 31], (9 | 3 << 4) * 15 - 2 * (6 | 2 << 4));
  EXPECT_EQ(out[4 * 32 + 30], -2 * (6 | 2 << 4));
}

TEST(Quant, Q6_KTakesNibblesFromBothHalvesOf64AndTwoMoreBits) {
  std::vector<std::byte> row(210);
  const std::uint16_t one = 0x3C00;
  std::memcpy(row.data() + 208, &one, 2);
  for (int g = 0; g < 16; ++g) row[192 + g] = static_cast<std::byte>(g == 12 ? -3 : g + 1);
  row[1] = std::byte{0x5A};        // nibbles of values 1 and 65
  row[33] = std::byte{0x07};       // of values 33 and 97
  row[128 + 1] = std::byte{0xE4};  // upper bits of values 1, 33, 65, 97: 0, 1, 2, 3
  std::vector<float> out(256);
  dequantize_row(Type::q6_k, row.data(), out);
  EXPECT_EQ(out[1], 1 * (10 - 32));
  EXPECT_EQ(out[33], 3 * (7 + 16 - 32));
  EXPECT_EQ(out[65], 5 * (5 + 32 - 32));
  EXPECT_EQ(out[97], 7 * (0 + 48 - 32));
  EXPECT_EQ(out[192], -3 * -32);
}

TEST(Quant, Mxfp4IsAPowerOfTwoTimesASmallFloat) {
  std::vector<std::byte> row(17, std::byte{0});
  row[0] = std::byte{128};    // 2
  row[1] = std::byte{0xF7};   // value 0: 6; value 16: -6
  row[16] = std::byte{0x19};  // value 15: -0.5; value 31: 0.5
  std::vector<float> out(32);
  dequantize_row(Type::mxfp4, row.data(), out);
  EXPECT_EQ(out[0], 12);
  EXPECT_EQ(out[16], -12);
  EXPECT_EQ(out[15], -1);
  EXPECT_EQ(out[31], 1);
  EXPECT_EQ(out[1], 0);
}

TEST(Quant, Iq2XxsSignsHaveAnEvenNumberOfMinuses) {
  std::vector<std::byte> row(66, std::byte{0});
  const std::uint16_t eight = 0x4800;
  std::memcpy(row.data(), &eight, 2);
  row[2] = std::byte{1};                             // codebook entry 0002: 43, then 8s
  const std::uint32_t word = 0b0000001u | 2u << 28;  // the first value is negative; scale 2.5
  std::memcpy(row.data() + 6, &word, 4);
  std::vector<float> out(256);
  dequantize_row(Type::iq2_xxs, row.data(), out);
  EXPECT_EQ(out[0], 5 * -43);
  EXPECT_EQ(out[1], 5 * 8);
  EXPECT_EQ(out[7], 5 * -8);  // the eighth sign makes the number even
  EXPECT_EQ(out[8], 5 * 8);
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
