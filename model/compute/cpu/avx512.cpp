// AVX-512 with VNNI and BF16 (Ice Lake and Zen 4 onwards). Compiled with those flags.
#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "model/compute/cpu/simd_kernels.h"

namespace corvid::model {
namespace {

struct Avx512 {
  using F = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kTileRows = 12;
  static constexpr int kScoreHeads = 4;
  static constexpr int kWeighHeads = 8;

  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static F set1(float x) { return _mm512_set1_ps(x); }
  static F zero() { return _mm512_setzero_ps(); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static float sum(F x) { return _mm512_reduce_add_ps(x); }
  static float largest(F x) { return _mm512_reduce_max_ps(x); }
  static F round_even(F x) { return _mm512_roundscale_ps(x, 0); }
  static F times_power_of_two(F x, F n) { return _mm512_scalef_ps(x, n); }
  static F load_f16(const std::uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F load_bf16(const std::uint16_t* p) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  }
};

__m512i four_codes(const void* codes) {
  int four;
  std::memcpy(&four, codes, 4);
  return _mm512_set1_epi32(four);
}

__m512i load_plane(const std::byte* block, int plane) {
  return _mm512_loadu_si512(block + plane * kPlane);
}

__m512 load_halves(const std::byte* halves) {
  return Avx512::load_f16(reinterpret_cast<const std::uint16_t*>(halves));
}

__m128i load_row_bytes(const std::byte* bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}

__m512 from_unsigned(__m128i bytes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

// Bits `mask` of x, moved left by `left` (right if negative), or'ed into y.
template <int left>
__m512i or_bits(__m512i y, __m512i x, int mask) {
  const __m512i moved = left >= 0 ? _mm512_slli_epi16(x, left >= 0 ? left : 0)
                                  : _mm512_srli_epi16(x, left < 0 ? -left : 0);
  // y | (moved & mask)
  return _mm512_ternarylogic_epi32(y, moved, _mm512_set1_epi8(static_cast<char>(mask)), 0xF8);
}

// Four `four` of a block of IQ2_XXS: half an entry of the codebook for each row, with its signs.
__m512i codebook_codes(const std::byte* block, int four) {
  const __m512i index = _mm512_cvtepu8_epi32(load_row_bytes(block + four / 2 * kPanelRows));
  const __m512i at = _mm512_add_epi32(_mm512_add_epi32(index, index), _mm512_set1_epi32(four % 2));
  const __m512i values = _mm512_i32gather_epi32(at, iq2_xxs_grid(), 4);
  const __m512i word = load_plane(block, 1);
  __m512i signs = _mm512_and_si512(_mm512_srlv_epi32(word, _mm512_set1_epi32(four / 2 * 7)),
                                   _mm512_set1_epi32(127));
  if (four % 2 == 1) {  // the eighth sign makes their number even
    __m512i odd = _mm512_xor_si512(signs, _mm512_srli_epi32(signs, 4));
    odd = _mm512_xor_si512(odd, _mm512_srli_epi32(odd, 2));
    odd = _mm512_xor_si512(odd, _mm512_srli_epi32(odd, 1));
    signs = _mm512_or_si512(_mm512_srli_epi32(signs, 4),
                            _mm512_slli_epi32(_mm512_and_si512(odd, _mm512_set1_epi32(1)), 3));
  }
  const __m512i masks = _mm512_setr_epi32(
      0, 0xFF, 0xFF00, 0xFFFF, 0xFF0000, 0xFF00FF, 0xFFFF00, 0xFFFFFF, static_cast<int>(0xFF000000),
      static_cast<int>(0xFF0000FF), static_cast<int>(0xFF00FF00), static_cast<int>(0xFF00FFFF),
      static_cast<int>(0xFFFF0000), static_cast<int>(0xFFFF00FF), static_cast<int>(0xFFFFFF00), -1);
  const __m512i mask = _mm512_permutexvar_epi32(signs, masks);  // its low four bits count
  const __m512i level = _mm512_sub_epi8(_mm512_xor_si512(values, mask), mask);
  return _mm512_xor_si512(level, _mm512_set1_epi8(static_cast<char>(0x80)));
}

// A panel as it lies in memory (panels.h), chunk by chunk.
template <Type type>
struct Packed {
  static constexpr PanelFormat f = panel_format(type);
  const std::byte* chunk;

  void next_chunk() { chunk += f.chunk_bytes(); }
  const std::byte* block(int b) const { return chunk + f.head_bytes() + b * f.block_bytes(); }

  // Levels of four `four` of block b.
  template <int four>
  __m512i codes(int b) const {
    const std::byte* const at = block(b);
    if constexpr (f.scales == Scales::codebook) {
      return codebook_codes(at, four);
    } else if constexpr (f.code.bits == 8) {
      return load_plane(at, four);
    } else {
      constexpr int kNibbles = f.code.bits >= 4 ? 4 : 0, kPairs = f.code.bits % 4 >= 2 ? 2 : 0;
      __m512i codes = _mm512_setzero_si512();
      if constexpr (kNibbles > 0) {
        const __m512i x = load_plane(at, four % 4);
        codes = _mm512_and_si512(four < 4 ? x : _mm512_srli_epi16(x, 4), _mm512_set1_epi8(15));
      }
      if constexpr (kPairs > 0) {
        codes = or_bits<kNibbles - four % 4 * 2>(codes, load_plane(at, kNibbles + four / 4),
                                                 3 << kNibbles);
      }
      if constexpr (f.code.bits % 2 == 1) {
        constexpr int kBit = f.code.bits - 1;
        codes = or_bits<kBit - four>(codes, load_plane(at, kNibbles + kPairs), 1 << kBit);
      }
      if constexpr (f.code.table != Table::none) {
        const auto* levels = kLevels[static_cast<int>(f.code.table)];
        const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels));
        codes = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), codes);
      }
      return codes;
    }
  }

  // Of group g; `b` is the block that it belongs to.
  __m512 scale(int b, int g) const {
    constexpr int kHalves = 2 * kPanelRows;
    const int at = g * kPanelRows;
    if constexpr (f.scales == Scales::half || f.scales == Scales::half_and_minimum) {
      return load_halves(chunk + 2 * at);
    } else if constexpr (f.scales == Scales::exponent) {
      // 2^(e - 127) / 2: one less in the exponent, and nothing for the smallest.
      const __m512i e = _mm512_cvtepu8_epi32(load_row_bytes(chunk + at));
      return _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(e, 23)), _mm512_set1_ps(0.5f));
    } else if constexpr (f.scales == Scales::integer) {
      const __m512i s = _mm512_cvtepi8_epi32(load_row_bytes(chunk + kHalves + at));
      return _mm512_mul_ps(load_halves(chunk), _mm512_cvtepi32_ps(s));
    } else if constexpr (f.scales == Scales::with_minimum) {
      return _mm512_mul_ps(load_halves(chunk),
                           from_unsigned(load_row_bytes(chunk + 2 * kHalves + at)));
    } else if constexpr (f.scales == Scales::nibbles) {
      const __m128i s = _mm_and_si128(load_row_bytes(chunk + 2 * kHalves + at), _mm_set1_epi8(15));
      return _mm512_mul_ps(load_halves(chunk), from_unsigned(s));
    } else {
      const __m512i s = _mm512_srli_epi32(load_plane(block(b), 1), 28);
      const __m512 eighths =
          _mm512_fmadd_ps(_mm512_cvtepi32_ps(s), _mm512_set1_ps(0.25f), _mm512_set1_ps(0.125f));
      return _mm512_mul_ps(load_halves(chunk), eighths);
    }
  }

  __m512 minimum(int g, __m512 scale) const {
    constexpr int kHalves = 2 * kPanelRows;
    const int at = g * kPanelRows;
    if constexpr (f.scales == Scales::half_and_minimum) {
      return load_halves(chunk + 2 * (f.groups() * kPanelRows + at));
    } else if constexpr (f.scales == Scales::with_minimum) {
      const std::byte* minimums = chunk + 2 * kHalves + f.groups() * kPanelRows;
      return _mm512_mul_ps(load_halves(chunk + kHalves),
                           from_unsigned(load_row_bytes(minimums + at)));
    } else if constexpr (f.scales == Scales::nibbles) {
      const __m128i both = load_row_bytes(chunk + 2 * kHalves + at);
      const __m128i m = _mm_and_si128(_mm_srli_epi16(both, 4), _mm_set1_epi8(15));
      return _mm512_mul_ps(load_halves(chunk + kHalves), from_unsigned(m));
    } else {
      return _mm512_mul_ps(scale, _mm512_set1_ps(f.code.zero));
    }
  }
};

// A chunk unpacked, which several rows are multiplied with. `minimums`: see PanelFormat.
template <int group, bool minimums>
struct Unpacked {
  static constexpr PanelFormat f = {{8, minimums ? 0 : 128}, Scales::half, group};
  alignas(64) std::byte planes[kChunkBlocks * 8 * kPlane];
  alignas(64) float scales[2][kChunk / group * kPanelRows];  // and minimums

  template <Type type>
  void unpack(const Packed<type>& from, int blocks) {
    for (int b = 0; b < blocks; ++b) {
      [&]<int... four>(std::integer_sequence<int, four...>) {
        (_mm512_store_si512(planes + (8 * b + four) * kPlane, from.template codes<four>(b)), ...);
      }
      (std::make_integer_sequence<int, 8>());
      for (int i = 0; i < kBlock / group; ++i) {
        const int g = b * (kBlock / group) + i;
        const __m512 scale = from.scale(b, g);
        _mm512_store_ps(scales[0] + g * kPanelRows, scale);
        if (minimums) _mm512_store_ps(scales[1] + g * kPanelRows, from.minimum(g, scale));
      }
    }
  }
};

// Reads an unpacked chunk as Packed reads a packed one.
template <class From>
struct UnpackedView {
  static constexpr PanelFormat f = From::f;
  const From* of;

  void next_chunk() const {}  // it is the only one
  template <int four>
  __m512i codes(int b) const {
    return load_plane(of->planes, 8 * b + four);
  }
  __m512 scale(int, int g) const { return _mm512_load_ps(of->scales[0] + g * kPanelRows); }
  __m512 minimum(int g, __m512) const { return _mm512_load_ps(of->scales[1] + g * kPanelRows); }
};

// T rows by P panels, of which `chunks` are the first; `first`: nothing has been summed up yet.
template <int T, int P, class Chunk>
inline void codes_tile(Chunk* chunks, int blocks, const std::int8_t* const* codes,
                       const InputBlock* const* inputs, bool first, float* out,
                       std::ptrdiff_t stride) {
  constexpr PanelFormat f = Chunk::f;
  constexpr int kParts = kBlock / f.group;  // of a block, with a scale of their own
  __m512 sums[T][P];
#pragma GCC unroll 64
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 64
    for (int p = 0; p < P; ++p) {
      sums[t][p] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(out + t * stride + p * kPanelRows);
    }
  }
  const auto add_block = [&](int n, int b) __attribute__((always_inline)) {  // block b of a chunk
    const auto part = [&]<int i, int... j>(std::integral_constant<int, i>,
                                           std::integer_sequence<int, j...>)
        __attribute__((always_inline)) {
      __m512i dots[T][P];
#pragma GCC unroll 64
      for (int t = 0; t < T; ++t) {
#pragma GCC unroll 64
        for (int p = 0; p < P; ++p) {
          dots[t][p] =
              f.has_minimums() ? _mm512_setzero_si512() : _mm512_set1_epi32(inputs[t][n].offset);
        }
      }
      const auto add = [&]<int four>(std::integral_constant<int, four>)
          __attribute__((always_inline)) {
        __m512i w[P];
#pragma GCC unroll 64
        for (int p = 0; p < P; ++p) w[p] = chunks[p].template codes<four>(b);
#pragma GCC unroll 64
        for (int t = 0; t < T; ++t) {
          const __m512i c = four_codes(codes[t] + n * kBlock + 4 * four);
#pragma GCC unroll 64
          for (int p = 0; p < P; ++p) dots[t][p] = _mm512_dpbusd_epi32(dots[t][p], w[p], c);
        }
      };
      (add(std::integral_constant<int, i*(f.group / 4) + j>{}), ...);
      const int g = b * kParts + i;
#pragma GCC unroll 64
      for (int p = 0; p < P; ++p) {
        const __m512 scale = chunks[p].scale(b, g);
#pragma GCC unroll 64
        for (int t = 0; t < T; ++t) {
          const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(inputs[t][n].scale));
          sums[t][p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t][p]), both, sums[t][p]);
        }
        if constexpr (f.has_minimums()) {
          const __m512 minimum = chunks[p].minimum(g, scale);
#pragma GCC unroll 64
          for (int t = 0; t < T; ++t) {
            const float sum = kParts == 1 ? inputs[t][n].sum : inputs[t][n].half_sum[i];
            sums[t][p] = _mm512_fnmadd_ps(minimum, _mm512_set1_ps(sum), sums[t][p]);
          }
        }
      }
    };
    part(std::integral_constant<int, 0>{}, std::make_integer_sequence<int, f.group / 4>());
    if constexpr (kParts == 2) {
      part(std::integral_constant<int, 1>{}, std::make_integer_sequence<int, f.group / 4>());
    }
  };
  for (int n = 0; n < blocks; n += kChunkBlocks) {
    const int rest = blocks - n < kChunkBlocks ? blocks - n : kChunkBlocks;
    for (int b = 0; b < rest; ++b) add_block(n + b, b);
#pragma GCC unroll 64
    for (int p = 0; p < P; ++p) chunks[p].next_chunk();
  }
#pragma GCC unroll 64
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 64
    for (int p = 0; p < P; ++p) _mm512_storeu_ps(out + t * stride + p * kPanelRows, sums[t][p]);
  }
}

// One call of multiply(), without its panels.
struct Rows {
  const Input& input;
  const int* rows;
  int n_rows;
  float* out;
  std::ptrdiff_t stride;
};

// Rows [i, n_rows) as far as whole tiles go, over `blocks` from column k on; returns the first row
// left.
template <int T, int P, class Chunk>
inline int codes_tiles(const Chunk* from, int k, int blocks, const Rows& all, int i) {
  for (; i + T <= all.n_rows; i += T) {
    const std::int8_t* codes[T];
    const InputBlock* inputs[T];
    for (int t = 0; t < T; ++t) {
      const std::ptrdiff_t row = all.rows ? all.rows[i + t] : i + t;
      codes[t] = all.input.codes + row * all.input.codes_stride + k;
      inputs[t] = all.input.blocks + row * all.input.blocks_stride + k / kBlock;
    }
    Chunk chunks[P];
    for (int p = 0; p < P; ++p) chunks[p] = from[p];
    codes_tile<T, P>(chunks, blocks, codes, inputs, k == 0, all.out + i * all.stride, all.stride);
  }
  return i;
}

template <int P, class Chunk>
inline void all_tiles(const Chunk* chunks, int k, int blocks, const Rows& all) {
  int i = 0;
  if constexpr (P == 2) {
    i = codes_tiles<6, 2>(chunks, k, blocks, all, i);
    i = codes_tiles<3, 2>(chunks, k, blocks, all, i);
  } else {
    i = codes_tiles<8, 1>(chunks, k, blocks, all, i);
  }
  codes_tiles<1, P>(chunks, k, blocks, all, i);
}

// A single row is multiplied with the packed panels; for several, each chunk is unpacked once.
template <Type type, int P>
inline void multiply_panels(const std::byte* const* panels, int columns, const Rows& all) {
  constexpr PanelFormat f = panel_format(type);
  Packed<type> packed[P];
  for (int p = 0; p < P; ++p) packed[p].chunk = panels[p];
  if constexpr (P > 2) {
    codes_tiles<1, P>(packed, 0, columns / kBlock, all, 0);
  } else if constexpr (type == Type::q8_0) {
    all_tiles<P>(packed, 0, columns / kBlock, all);
  } else if (all.n_rows == 1) {
    codes_tiles<1, P>(packed, 0, columns / kBlock, all, 0);
  } else {
    using Chunk = Unpacked<f.group, f.has_minimums()>;
    Chunk unpacked[P];
    UnpackedView<Chunk> views[P];
    for (int p = 0; p < P; ++p) views[p].of = &unpacked[p];
    for (int k = 0; k < columns; k += kChunk) {
      const int blocks = (columns - k < kChunk ? columns - k : kChunk) / kBlock;
      for (int p = 0; p < P; ++p) {
        unpacked[p].unpack(packed[p], blocks);
        packed[p].next_chunk();
      }
      all_tiles<P>(views, k, blocks, all);
    }
  }
}

template <Type type>
void multiply_codes(const std::byte* const* panels, int n_panels, int k, const Input& input,
                    const int* rows, int n_rows, float* out, std::ptrdiff_t stride) {
  Rows all{input, rows, n_rows, out, stride};
  int p = 0;
  if (n_rows == 1 && n_panels == 4) {  // four sums side by side hide the latency of one
    return multiply_panels<type, 4>(panels, k, all);
  }
  for (; p + 2 <= n_panels; p += 2, all.out += 2 * kPanelRows) {
    multiply_panels<type, 2>(panels + p, k, all);
  }
  if (p < n_panels) multiply_panels<type, 1>(panels + p, k, all);
}

void quantize(const float* values, int n, std::int8_t* codes, InputBlock* blocks) {
  for (int b = 0; b < n / kBlock; ++b, values += kBlock, codes += kBlock) {
    const __m512 x0 = _mm512_loadu_ps(values), x1 = _mm512_loadu_ps(values + 16);
    const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(x0), _mm512_abs_ps(x1)));
    const __m512 inverse = _mm512_set1_ps(largest > 0 ? 127 / largest : 0);
    const __m512i c0 = _mm512_cvtps_epi32(_mm512_mul_ps(x0, inverse));
    const __m512i c1 = _mm512_cvtps_epi32(_mm512_mul_ps(x1, inverse));
    const __m256i packed = _mm256_set_m128i(_mm512_cvtepi32_epi8(c1), _mm512_cvtepi32_epi8(c0));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), packed);
    // Sums of four, of eight and of sixteen codes, the first half's in the lower lanes.
    __m256i few = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), packed);
    few = _mm256_hadd_epi32(few, few);
    few = _mm256_hadd_epi32(few, few);
    const int sums[2] = {_mm256_extract_epi32(few, 0), _mm256_extract_epi32(few, 4)};
    const float scale = largest / 127;
    blocks[b] = {scale,
                 -128 * (sums[0] + sums[1]),
                 scale * static_cast<float>(sums[0] + sums[1]),
                 {scale * static_cast<float>(sums[0]), scale * static_cast<float>(sums[1])}};
  }
}

// H heads against the 64 keys of a page.
template <int H>
inline void index_heads(const std::int8_t* query, const std::int32_t* offsets, const float* weights,
                        int width, const std::uint8_t* keys, __m512* scores) {
  __m512i dots[H][4];
#pragma GCC unroll 64
  for (int a = 0; a < H; ++a) {
#pragma GCC unroll 64
    for (int n = 0; n < 4; ++n) dots[a][n] = _mm512_set1_epi32(offsets[a]);
  }
  for (int g = 0; g < width / 4; ++g) {
    __m512i k[4];
#pragma GCC unroll 64
    for (int n = 0; n < 4; ++n) k[n] = _mm512_loadu_si512(keys + (g * 4 + n) * 64);
#pragma GCC unroll 64
    for (int a = 0; a < H; ++a) {
      const __m512i q = four_codes(query + a * width + 4 * g);
#pragma GCC unroll 64
      for (int n = 0; n < 4; ++n) dots[a][n] = _mm512_dpbusd_epi32(dots[a][n], k[n], q);
    }
  }
#pragma GCC unroll 64
  for (int a = 0; a < H; ++a) {
    const __m512 w = _mm512_set1_ps(weights[a]);
#pragma GCC unroll 64
    for (int n = 0; n < 4; ++n) {
      const __m512i positive = _mm512_max_epi32(dots[a][n], _mm512_setzero_si512());
      scores[n] = _mm512_fmadd_ps(w, _mm512_cvtepi32_ps(positive), scores[n]);
    }
  }
}

void index_q8(const std::int8_t* query, const std::int32_t* offsets, const float* weights,
              int heads, int width, const std::uint8_t* keys, const float* key_scales,
              float* scores) {
  __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                    _mm512_setzero_ps()};
  int h = 0;
  for (; h + 5 <= heads; h += 5) {
    index_heads<5>(query + h * width, offsets + h, weights + h, width, keys, sums);
  }
  for (; h < heads; ++h) {
    index_heads<1>(query + h * width, offsets + h, weights + h, width, keys, sums);
  }
  for (int n = 0; n < 4; ++n) {
    const __m512 scale = _mm512_loadu_ps(key_scales + 16 * n);
    _mm512_storeu_ps(scores + 16 * n, _mm512_mul_ps(sums[n], scale));
  }
}

constexpr Kernels kAvx512 = {
    .name = "avx512",
    .multiply = multiply_table<[]<Type type>() -> Multiply {
      if constexpr (is_quantized(type)) {
        return multiply_codes<type>;
      } else {
        return multiply_values<Avx512, type>;
      }
    }>(),
    .quantize = quantize,
    .rms_norm = rms_norm<Avx512>,
    .gate = gate<Avx512>,
    .attend_f32 = attend<Avx512, float>,
    .attend_f16 = attend<Avx512, std::uint16_t>,
    .index_f32 = index_f32<Avx512>,
    .index_q8 = index_q8,
};

}  // namespace

const Kernels& avx512_kernels() {
  return kAvx512;
}

}  // namespace corvid::model
