// AVX-512 with AMX (Sapphire Rapids onwards): tiles for products of codes with many rows.
//
// They are the same sums of integers as in every other set, scaled in the same order: rows have the
// same bits as alone. The tiles' registers are free again when a function returns. Attention stays
// with vectors: products of BF16 lose more of f16 latents than the fast path may.
#include <algorithm>
#include <utility>

#include "model/compute/cpu/avx512_set.h"

namespace corvid::model {
namespace {

constexpr int kSide = 16;  // rows of a tile, and 32-bit sums in one of its rows

// What LDTILECFG loads.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  constexpr void set(int tile, int n_rows, int bytes) {
    rows[tile] = static_cast<std::uint8_t>(n_rows);
    row_bytes[tile] = static_cast<std::uint16_t>(bytes);
  }
};

constexpr int kLeastRows = 32;  // below, vectors are faster

// Tile 0 holds codes of 16 rows, 1 and 2 the levels of two panels, 3 and 4 sums: of the 32 columns
// that share a scale.
constexpr TileShapes product_shapes() {
  TileShapes shapes;
  shapes.set(0, kSide, kBlock);
  for (int tile : {1, 2}) shapes.set(tile, kBlock / 4, kPlane);
  for (int tile : {3, 4}) shapes.set(tile, kSide, kPlane);
  return shapes;
}

// Of 16 rows and two panels, block by block of a chunk.
struct BlockSums {
  alignas(64) std::int32_t of[kChunkBlocks][2][kSide][kPanelRows];
};

template <bool minimums>
using UnpackedPair = Unpacked<Avx512, kBlock, minimums>[2];

template <bool minimums>
inline void sum_blocks(const UnpackedPair<minimums>& unpacked, int blocks, const std::int8_t* codes,
                       std::ptrdiff_t stride, BlockSums& sums) {
  for (int b = 0; b < blocks; ++b) {
    _tile_loadd(0, codes + b * kBlock, stride);
    _tile_loadd(1, unpacked[0].planes + b * 8 * kPlane, kPlane);
    _tile_zero(3);
    _tile_dpbsud(3, 0, 1);
    _tile_loadd(2, unpacked[1].planes + b * 8 * kPlane, kPlane);
    _tile_zero(4);
    _tile_dpbsud(4, 0, 2);
    _tile_stored(3, sums.of[b][0], kPlane);
    _tile_stored(4, sums.of[b][1], kPlane);
  }
}

// Rows [first, first + T) of 16: out += scaled sums, in the order of codes_tile().
template <int T, bool minimums>
inline void scale_rows(const UnpackedPair<minimums>& unpacked, int blocks, const BlockSums& sums,
                       int first, const InputBlock* const* inputs, bool fresh, float* out,
                       std::ptrdiff_t stride) {
  using V = Avx512;
  V::F totals[T][2];
#pragma GCC unroll 64
  for (int i = 0; i < T * 2; ++i) {
    const float* const from = out + i / 2 * stride + i % 2 * kPanelRows;
    totals[i / 2][i % 2] = fresh ? V::zero() : V::load(from);
  }
  for (int b = 0; b < blocks; ++b) {
#pragma GCC unroll 64
    for (int p = 0; p < 2; ++p) {
      const V::F scale = V::load(unpacked[p].scales[0] + b * kPanelRows);
      V::F minimum = V::zero();
      if constexpr (minimums) minimum = V::load(unpacked[p].scales[1] + b * kPanelRows);
#pragma GCC unroll 64
      for (int t = 0; t < T; ++t) {
        const InputBlock& in = inputs[first + t][b];
        V::Words dots = _mm512_load_si512(sums.of[b][p][first + t]);
        if constexpr (!minimums) dots = _mm512_add_epi32(dots, V::words(in.offset));
        totals[t][p] = V::fma(V::floats(dots), V::mul(scale, V::set1(in.scale)), totals[t][p]);
        if constexpr (minimums) totals[t][p] = V::fms(minimum, V::set1(in.sum), totals[t][p]);
      }
    }
  }
#pragma GCC unroll 64
  for (int i = 0; i < T * 2; ++i) {
    V::store(out + i / 2 * stride + i % 2 * kPanelRows, totals[i / 2][i % 2]);
  }
}

// Columns [k, k + 32 * blocks) of all rows with two panels.
template <bool minimums>
void multiply_chunk(const UnpackedPair<minimums>& unpacked, int k, int blocks,
                    const MultiplyCall& all) {
  BlockSums sums;
  alignas(64) std::int8_t copy[kSide * kChunk];
  for (int i = 0; i < all.n_rows; i += kSide) {
    const int rows = std::min(kSide, all.n_rows - i);
    const std::int8_t* codes[kSide];
    const InputBlock* inputs[kSide];
    for (int t = 0; t < rows; ++t) {
      const std::ptrdiff_t row = all.rows ? all.rows[i + t] : i + t;
      codes[t] = all.input.codes + row * all.input.codes_stride + k;
      inputs[t] = all.input.blocks + row * all.input.blocks_stride + k / kBlock;
    }
    if (all.rows || rows < kSide) {  // a tile wants 16 rows at even distances
      for (int t = 0; t < kSide; ++t) {
        std::memcpy(copy + t * kChunk, codes[t < rows ? t : 0], blocks * kBlock);
      }
      sum_blocks<minimums>(unpacked, blocks, copy, kChunk, sums);
    } else {
      sum_blocks<minimums>(unpacked, blocks, codes[0], all.input.codes_stride, sums);
    }
    float* out = all.out + i * all.stride;
    int t = 0;
    for (; t + 4 <= rows; t += 4, out += 4 * all.stride) {
      scale_rows<4, minimums>(unpacked, blocks, sums, t, inputs, k == 0, out, all.stride);
    }
    for (; t < rows; ++t, out += all.stride) {
      scale_rows<1, minimums>(unpacked, blocks, sums, t, inputs, k == 0, out, all.stride);
    }
  }
}

template <Type type>
void multiply_tiled(const std::byte* const* panels, int n_panels, int k, const Input& input,
                    const int* rows, int n_rows, float* out, std::ptrdiff_t stride) {
  static constexpr TileShapes kShapes = product_shapes();
  constexpr bool kMinimums = panel_format(type).has_minimums();
  MultiplyCall all{input, rows, n_rows, out, stride};
  int p = 0;
  if (n_rows >= kLeastRows && n_panels >= 2) {
    _tile_loadconfig(&kShapes);
    UnpackedPair<kMinimums> unpacked;
    for (; p + 2 <= n_panels; p += 2, all.out += 2 * kPanelRows) {
      Packed<Avx512, type> packed[2] = {{panels[p]}, {panels[p + 1]}};
      for (int at = 0; at < k; at += kChunk) {
        const int blocks = std::min(kChunk, k - at) / kBlock;
        for (int i = 0; i < 2; ++i) {
          unpacked[i].unpack(packed[i], blocks);
          packed[i].next_chunk();
        }
        multiply_chunk<kMinimums>(unpacked, at, blocks, all);
      }
    }
    _tile_release();
  }
  if (p == n_panels) return;
  const Multiply vectors = avx512_kernels().multiply[static_cast<int>(type)];
  vectors(panels + p, n_panels - p, k, input, rows, n_rows, all.out, stride);
}

}  // namespace

const Kernels& amx_kernels() {
  static const Kernels kKernels = [] {
    constexpr auto kTiled = multiply_table<[]<Type type>() -> Multiply {
      if constexpr (is_quantized(type)) {
        // Fewer columns with a scale are too few for tiles.
        if constexpr (panel_format(type).group == kBlock) return multiply_tiled<type>;
      }
      return nullptr;
    }>();
    Kernels set = avx512_kernels();
    set.name = "amx";
    for (int i = 0; i < kTypeIds; ++i) {
      if (kTiled[i]) set.multiply[i] = kTiled[i];
    }
    return set;
  }();
  return kKernels;
}

}  // namespace corvid::model
