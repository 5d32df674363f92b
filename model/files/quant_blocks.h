// The blocks that quantised rows consist of, taken apart into one common form.
//
// A block holds codes of a few bits, and a scale and a minimum for every 16 or 32 of them:
//   value[i] = scale * scales[i / 16] * level(codes[i]) - minimum * minimums[i / 16]
// Everything that reads quantised weights (conversion to f32, the panels of the CPU) is written
// once over this form; a type is one function that fills it, and one line that says what its codes
// mean. Free functions without state; any thread. Any bytes are a valid block.
// Source: block layouts of ggml (GGUF specification).
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/files/quant.h"

namespace corvid::model {

inline constexpr int kMaxBlock = 256;

struct Block {
  float scale = 0, minimum = 0;
  std::int16_t scales[kMaxBlock / 16];
  std::int16_t minimums[kMaxBlock / 16];  // 0 where a type has none
  std::uint8_t codes[kMaxBlock];
};

// What a code stands for: code - zero, or kLevels[table][code] - zero.
enum class Table : std::int8_t { none = -1, nonlinear, fp4 };
struct CodeMeaning {
  int bits;  // codes are below 1 << bits
  int zero;
  Table table = Table::none;
};

// Levels + 128. IQ4: a nonlinear 4-bit scale; fp4: E2M1, doubled.
inline constexpr std::uint8_t kLevels[2][16] = {
    {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241},
    {128, 129, 130, 131, 132, 134, 136, 140, 128, 127, 126, 125, 124, 122, 120, 116}};

constexpr CodeMeaning code_meaning(Type type) {
  switch (type) {
    case Type::q2_k:
      return {2, 0};
    case Type::q3_k:
      return {3, 4};
    case Type::q4_0:
      return {4, 8};
    case Type::q4_1:
    case Type::q4_k:
      return {4, 0};
    case Type::q5_0:
      return {5, 16};
    case Type::q5_1:
    case Type::q5_k:
      return {5, 0};
    case Type::q6_k:
      return {6, 32};
    case Type::iq4_nl:
    case Type::iq4_xs:
      return {4, 128, Table::nonlinear};
    case Type::mxfp4:
      return {4, 128, Table::fp4};
    case Type::q8_0:
    case Type::iq2_xxs:  // its codes are levels of a codebook, with their signs
      return {8, 128};
    default:
      return {0, 0};
  }
}
constexpr bool is_quantized(Type type) {
  return code_meaning(type).bits > 0;
}

// Fills the first traits(type).block_elements values.
void read_block(Type type, const std::byte* bytes, Block& block);

// 8 values from {8, 25, 43} for each of 256 indices, one byte each.
const std::uint64_t* iq2_xxs_grid();

}  // namespace corvid::model
