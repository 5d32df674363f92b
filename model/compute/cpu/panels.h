// How weights lie in memory for the kernels: said once, for packing and for every kernel set.
//
// A panel is 16 rows side by side, so that a vector lane is a row and nothing is summed across
// lanes. Plain types: [k][row]. Quantised types: chunks of 256 columns (the last one may end after
// any block of 32), each of them a head of scales, which always has room for all 256 columns, and
// then the codes of its blocks in planes of 64 bytes. In a plane, a row has four bytes, for four
// neighbouring columns ("fours"; a block has 8 of them); a code's bits are shared out to
//   8 bits:  8 planes, one per four;
//   4..6:    4 planes of nibbles: plane i has four i in its low, four i + 4 in its high nibbles;
//   2, 3, 6: 2 planes of pairs: plane i has fours 4 i to 4 i + 3, from the low bits up;
//   3, 5:    1 plane of single bits: bit i belongs to four i.
// Several kinds of planes follow each other; nibbles hold the lowest bits, then pairs, then single
// bits. IQ2_XXS keeps its codebook indices (u8 [4][row]) and words of signs (u32 [row]) instead.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/files/quant_blocks.h"

namespace corvid::model {

inline constexpr int kPanelRows = 16;
inline constexpr int kBlock = 32;
inline constexpr int kChunk = 256;
inline constexpr int kChunkBlocks = kChunk / kBlock;
inline constexpr int kPlane = 4 * kPanelRows;  // bytes

// The head of a chunk: arrays [groups of columns][row] in this order. Half: f16.
enum class Scales : std::uint8_t {
  half,              // half scale
  half_and_minimum,  // half scale, half minimum
  exponent,          // u8: scale 2^(e - 128)
  integer,           // half d (one per chunk), i8 s: scale d * s
  with_minimum,      // half d, dmin (one per chunk), u8 s, m: scale d * s, minimum dmin * m
  nibbles,           // half d, dmin (one per chunk), u8 s | m << 4
  codebook,          // half d (one per chunk): scale d * (2 s + 1) / 8, s is in the words of signs
};

struct PanelFormat {
  CodeMeaning code;
  Scales scales;
  int group = kBlock;  // columns that share a scale

  constexpr int groups() const { return kChunk / group; }
  // Minimums are stored, or follow from the zero of the codes.
  constexpr bool has_minimums() const { return code.zero != 128; }
  constexpr bool stores_minimums() const {
    return scales == Scales::half_and_minimum || scales == Scales::with_minimum ||
           scales == Scales::nibbles;
  }
  constexpr int head_bytes() const {
    constexpr int kHalves = 2 * kPanelRows;
    const int bytes = groups() * kPanelRows;
    switch (scales) {
      case Scales::half:
        return 2 * bytes;
      case Scales::half_and_minimum:
        return 4 * bytes;
      case Scales::exponent:
        return bytes;
      case Scales::integer:
        return (kHalves + bytes + 63) / 64 * 64;
      case Scales::with_minimum:
        return 2 * kHalves + 2 * bytes;
      case Scales::nibbles:
        return 2 * kHalves + bytes;
      case Scales::codebook:
        return 64;
    }
    return 0;
  }
  constexpr int block_bytes() const {
    return scales == Scales::codebook ? 2 * kPlane : code.bits * kPlane;
  }
  constexpr int chunk_bytes() const { return head_bytes() + kChunkBlocks * block_bytes(); }
  constexpr std::size_t panel_bytes(int columns) const {
    const int rest = columns % kChunk / kBlock;
    return std::size_t(columns / kChunk) * chunk_bytes() +
           (rest > 0 ? head_bytes() + rest * block_bytes() : 0);
  }
};

constexpr PanelFormat panel_format(Type type) {
  const CodeMeaning code = code_meaning(type);
  switch (type) {
    case Type::q4_1:
    case Type::q5_1:
      return {code, Scales::half_and_minimum};
    case Type::mxfp4:
      return {code, Scales::exponent};
    case Type::q2_k:
      return {code, Scales::nibbles, 16};
    case Type::q3_k:
    case Type::q6_k:
      return {code, Scales::integer, 16};
    case Type::q4_k:
    case Type::q5_k:
      return {code, Scales::with_minimum};
    case Type::iq4_xs:
      return {code, Scales::integer};
    case Type::iq2_xxs:
      return {code, Scales::codebook};
    default:  // Q4_0, Q5_0, Q8_0, IQ4_NL
      return {code, Scales::half};
  }
}

}  // namespace corvid::model
