#include "model/files/quant.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

#include "model/files/quant_blocks.h"

namespace corvid::model {
namespace {

template <typename T>
T read(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// --- One function per type: a whole row, out.size() elements. ----------------------------------

void from_f32(const std::byte* row, std::span<float> out) {
  std::memcpy(out.data(), row, out.size_bytes());
}

void from_f16(const std::byte* row, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = f16_to_f32(read<std::uint16_t>(row + 2 * i));
}

void from_bf16(const std::byte* row, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = bf16_to_f32(read<std::uint16_t>(row + 2 * i));
  }
}

void from_i8(const std::byte* row, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = read<std::int8_t>(row + i);
}

void from_i32(const std::byte* row, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(read<std::int32_t>(row + 4 * i));
  }
}

template <Type type>
void from_blocks(const std::byte* row, std::span<float> out) {
  constexpr CodeMeaning meaning = code_meaning(type);
  const TypeTraits& t = traits(type);
  Block block;
  for (std::size_t i = 0; i < out.size(); i += t.block_elements, row += t.block_bytes) {
    read_block(type, row, block);
    for (int j = 0; j < t.block_elements; ++j) {
      const int code = block.codes[j];
      const int level =
          meaning.table == Table::none ? code : kLevels[static_cast<int>(meaning.table)][code];
      out[i + j] = block.scale * block.scales[j / 16] * static_cast<float>(level - meaning.zero) -
                   block.minimum * block.minimums[j / 16];
    }
  }
}

using Dequantize = void (*)(const std::byte*, std::span<float>);

// What is known of a ggml type id. Without a conversion the type is known by name only.
struct TypeEntry {
  TypeTraits traits;
  Dequantize dequantize = nullptr;
};

// Index: ggml type id. Retired ids have no name.
constexpr std::array<TypeEntry, kTypeIds> kTypes = {{
    {{"F32", 1, 4}, from_f32},                           // 0
    {{"F16", 1, 2}, from_f16},                           // 1
    {{"Q4_0", 32, 18}, from_blocks<Type::q4_0>},         // 2
    {{"Q4_1", 32, 20}, from_blocks<Type::q4_1>},         // 3
    {},                                                  // 4
    {},                                                  // 5
    {{"Q5_0", 32, 22}, from_blocks<Type::q5_0>},         // 6
    {{"Q5_1", 32, 24}, from_blocks<Type::q5_1>},         // 7
    {{"Q8_0", 32, 34}, from_blocks<Type::q8_0>},         // 8
    {{"Q8_1", 32, 36}},                                  // 9
    {{"Q2_K", 256, 84}, from_blocks<Type::q2_k>},        // 10
    {{"Q3_K", 256, 110}, from_blocks<Type::q3_k>},       // 11
    {{"Q4_K", 256, 144}, from_blocks<Type::q4_k>},       // 12
    {{"Q5_K", 256, 176}, from_blocks<Type::q5_k>},       // 13
    {{"Q6_K", 256, 210}, from_blocks<Type::q6_k>},       // 14
    {{"Q8_K", 256, 292}},                                // 15
    {{"IQ2_XXS", 256, 66}, from_blocks<Type::iq2_xxs>},  // 16
    {{"IQ2_XS", 256, 74}},                               // 17
    {{"IQ3_XXS", 256, 98}},                              // 18
    {{"IQ1_S", 256, 50}},                                // 19
    {{"IQ4_NL", 32, 18}, from_blocks<Type::iq4_nl>},     // 20
    {{"IQ3_S", 256, 110}},                               // 21
    {{"IQ2_S", 256, 82}},                                // 22
    {{"IQ4_XS", 256, 136}, from_blocks<Type::iq4_xs>},   // 23
    {{"I8", 1, 1}, from_i8},                             // 24
    {{"I16", 1, 2}},                                     // 25
    {{"I32", 1, 4}, from_i32},                           // 26
    {{"I64", 1, 8}},                                     // 27
    {{"F64", 1, 8}},                                     // 28
    {{"IQ1_M", 256, 56}},                                // 29
    {{"BF16", 1, 2}, from_bf16},                         // 30
    {},                                                  // 31
    {},                                                  // 32
    {},                                                  // 33
    {{"TQ1_0", 256, 54}},                                // 34
    {{"TQ2_0", 256, 66}},                                // 35
    {},                                                  // 36
    {},                                                  // 37
    {},                                                  // 38
    {{"MXFP4", 32, 17}, from_blocks<Type::mxfp4>},       // 39
    {{"NVFP4", 64, 36}},                                 // 40
    {{"Q1_0", 0, 0}},                                    // 41
    {{"Q2_0", 0, 0}},                                    // 42
}};

const TypeEntry& entry(Type type) {
  return kTypes[static_cast<std::size_t>(type)];
}

}  // namespace

std::optional<Type> type_from_ggml(std::uint32_t id) {
  if (id >= kTypes.size() || !kTypes[id].dequantize) return std::nullopt;
  return static_cast<Type>(id);
}

std::string_view ggml_type_name(std::uint32_t id) {
  if (id >= kTypes.size() || kTypes[id].traits.name.empty()) return "unknown";
  return kTypes[id].traits.name;
}

const TypeTraits& traits(Type type) {
  return entry(type).traits;
}

std::size_t row_bytes(Type type, std::int64_t n) {
  const TypeTraits& t = traits(type);
  assert(n >= 0 && n % t.block_elements == 0);
  return static_cast<std::size_t>(n / t.block_elements) * t.block_bytes;
}

void dequantize_row(Type type, const std::byte* row, std::span<float> out) {
  assert(out.size() % traits(type).block_elements == 0);
  entry(type).dequantize(row, out);
}

void quantize_row_q8_0(std::span<const float> values, std::byte* row) {
  assert(values.size() % 32 == 0);
  for (std::size_t i = 0; i < values.size(); i += 32, row += 34) {
    float largest = 0;
    for (std::size_t j = 0; j < 32; ++j) largest = std::max(largest, std::fabs(values[i + j]));
    const std::uint16_t scale = f32_to_f16(largest / 127);
    const float inverse = largest > 0 ? 127 / largest : 0;
    std::memcpy(row, &scale, sizeof scale);
    for (std::size_t j = 0; j < 32; ++j) {
      row[2 + j] = static_cast<std::byte>(std::lround(values[i + j] * inverse));
    }
  }
}

float f16_to_f32(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t magnitude = half & 0x7FFF;
  if (magnitude >= 0x7C00) {  // infinity or NaN
    return std::bit_cast<float>(sign | 0x7F800000 | (magnitude & 0x3FF) << 13);
  }
  if (magnitude < 0x400) {  // subnormal: no f32 subnormal on the way, threads may flush those
    const float value = std::bit_cast<float>(0x38800000 | magnitude << 13) - 0x1p-14f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + (112u << 23)));
}

std::uint16_t f32_to_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint16_t sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  const std::uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return sign | 0x7E00;   // NaN
  if (magnitude >= 0x477FF000) return sign | 0x7C00;  // rounds beyond the largest half
  if (magnitude < 0x38800000) {                       // subnormal half: the adder rounds for us
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(shifted) - 0x3F000000);
  }
  const std::uint32_t even = magnitude >> 13 & 1;
  return sign | static_cast<std::uint16_t>((magnitude - 0x38000000 + 0xFFF + even) >> 13);
}

float bf16_to_f32(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

std::uint16_t f32_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace corvid::model
