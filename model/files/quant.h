// Element and block types of tensors, and their conversion to f32.
//
// Type ids are ggml's, so they can be read straight from a file. One table (quant.cpp) says what is
// known of each id; a type is supported when the table has a conversion for it. What the blocks of
// quantised types hold is in quant_blocks.h. Free functions without state; any thread. Source:
// block layouts of ggml (GGUF specification).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace corvid::model {

enum class Type : std::uint8_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  iq2_xxs = 16,
  iq4_nl = 20,
  iq4_xs = 23,
  i8 = 24,
  i32 = 26,
  bf16 = 30,
  mxfp4 = 39,
};
inline constexpr int kTypeIds = 43;  // ids that are known by name lie below

struct TypeTraits {
  std::string_view name;
  int block_elements;
  int block_bytes;
};

std::optional<Type> type_from_ggml(std::uint32_t id);  // nullopt: not supported
std::string_view ggml_type_name(std::uint32_t id);     // for messages, also of unsupported types
const TypeTraits& traits(Type type);
// Bytes of a row of n elements; n must be a multiple of the block.
std::size_t row_bytes(Type type, std::int64_t n);

// Scalar reference conversions. `out.size()` elements, whole blocks.
void dequantize_row(Type type, const std::byte* row, std::span<float> out);
void quantize_row_q8_0(std::span<const float> values, std::byte* row);

float f16_to_f32(std::uint16_t half);
std::uint16_t f32_to_f16(float value);
float bf16_to_f32(std::uint16_t value);
std::uint16_t f32_to_bf16(float value);  // round to nearest even

}  // namespace corvid::model
