// The kernels of AVX2 with FMA and F16C, with and without VNNI's products of four bytes.
//
// Included only by avx2.cpp and avx_vnni.cpp, each of which compiles it for itself and makes a
// table of it. Both sets compute the same bits: sums of products of bytes are exact.
#pragma once

#include <immintrin.h>

#include <cstring>
#include <type_traits>

#include "model/compute/cpu/simd_kernels.h"

namespace corvid::model {
namespace {

struct Avx2 {
  using F = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kTileRows = 3;
  static constexpr int kScoreHeads = 2;
  static constexpr int kWeighHeads = 4;

  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static F set1(float x) { return _mm256_set1_ps(x); }
  static F zero() { return _mm256_setzero_ps(); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static float sum(F x) {
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
  }
  static float largest(F x) {
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
  }
  static F round_even(F x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static F times_power_of_two(F x, F n) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
  }
  static F load_f16(const std::uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static F load_bf16(const std::uint16_t* p) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  }
};

__m256i load_bytes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

__m256i four_codes(const void* codes) {
  int four;
  std::memcpy(&four, codes, 4);
  return _mm256_set1_epi32(four);
}

// Sums of four products i8 * i8. Signs move to the second factor, as the instruction wants the
// first one unsigned; 128 * 127 * 2 still fits into 16 bits.
inline __m256i dot_i8(__m256i a, __m256i b) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// The same of u8 codes of up to 7 bits.
inline __m256i dot_u7(__m256i a, __m256i b) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1));
}

#ifdef __AVXVNNI__
constexpr bool kVnni = true;
#else
constexpr bool kVnni = false;
#endif

// sums + the sums of four products of levels and codes. Levels of 8 bits come as they are stored
// with VNNI, and as signed ones, less 128, without.
template <bool few_bits>
__m256i add_dot(__m256i sums, __m256i levels, __m256i codes) {
#ifdef __AVXVNNI__
  return _mm256_dpbusd_avx_epi32(sums, levels, codes);
#else
  return _mm256_add_epi32(sums, few_bits ? dot_u7(levels, codes) : dot_i8(levels, codes));
#endif
}

__m256i load_plane(const std::byte* block, int plane, int half) {
  return load_bytes(block + plane * kPlane + half * (kPlane / 2));
}

__m256 load_halves(const std::byte* halves) {
  return Avx2::load_f16(reinterpret_cast<const std::uint16_t*>(halves));
}

__m128i load_row_bytes(const std::byte* bytes) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
}

__m256 from_unsigned(__m128i bytes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

// Bits `mask` of x, moved left by `left` (right if negative), or'ed into y.
template <int left>
__m256i or_bits(__m256i y, __m256i x, int mask) {
  const __m256i moved = left >= 0 ? _mm256_slli_epi16(x, left >= 0 ? left : 0)
                                  : _mm256_srli_epi16(x, left < 0 ? -left : 0);
  return _mm256_or_si256(y, _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(mask))));
}

// Four `four` of a block of IQ2_XXS, less 128: half an entry of the codebook for each row, with its
// signs.
__m256i codebook_levels(const std::byte* block, int four, int half) {
  const std::byte* const indices = block + four / 2 * kPanelRows + 8 * half;
  const __m256i index = _mm256_cvtepu8_epi32(load_row_bytes(indices));
  const __m256i at = _mm256_add_epi32(_mm256_add_epi32(index, index), _mm256_set1_epi32(four % 2));
  const auto* grid = reinterpret_cast<const int*>(iq2_xxs_grid());
  const __m256i values = _mm256_i32gather_epi32(grid, at, 4);
  const __m256i word = load_plane(block, 1, half);
  __m256i signs = _mm256_and_si256(_mm256_srlv_epi32(word, _mm256_set1_epi32(four / 2 * 7)),
                                   _mm256_set1_epi32(127));
  if (four % 2 == 1) {  // the eighth sign makes their number even
    __m256i odd = _mm256_xor_si256(signs, _mm256_srli_epi32(signs, 4));
    odd = _mm256_xor_si256(odd, _mm256_srli_epi32(odd, 2));
    odd = _mm256_xor_si256(odd, _mm256_srli_epi32(odd, 1));
    signs = _mm256_or_si256(_mm256_srli_epi32(signs, 4),
                            _mm256_slli_epi32(_mm256_and_si256(odd, _mm256_set1_epi32(1)), 3));
  }
  // Each byte of a row looks at its own bit of the four signs.
  const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 0, 0,
                                          0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
  const __m256i bits = _mm256_set1_epi32(0x08040201);
  const __m256i mine = _mm256_and_si256(_mm256_shuffle_epi8(signs, spread), bits);
  const __m256i mask = _mm256_cmpeq_epi8(mine, bits);
  return _mm256_sub_epi8(_mm256_xor_si256(values, mask), mask);
}

__m256i flip() {
  return _mm256_set1_epi8(static_cast<char>(0x80));
}

// Half of a chunk of a panel, eight rows, as it lies in memory (panels.h).
template <Type type>
struct Packed {
  static constexpr PanelFormat f = panel_format(type);
  const std::byte* chunk;
  int half;

  const std::byte* block(int b) const { return chunk + f.head_bytes() + b * f.block_bytes(); }

  // Levels of four `four` of block b.
  template <int four>
  __m256i codes(int b) const {
    const std::byte* const at = block(b);
    if constexpr (f.scales == Scales::codebook) {
      const __m256i levels = codebook_levels(at, four, half);
      return kVnni ? _mm256_xor_si256(levels, flip()) : levels;
    } else if constexpr (f.code.bits == 8) {
      const __m256i levels = load_plane(at, four, half);
      return kVnni ? levels : _mm256_xor_si256(levels, flip());
    } else {
      constexpr int kNibbles = f.code.bits >= 4 ? 4 : 0, kPairs = f.code.bits % 4 >= 2 ? 2 : 0;
      __m256i codes = _mm256_setzero_si256();
      if constexpr (kNibbles > 0) {
        const __m256i x = load_plane(at, four % 4, half);
        codes = _mm256_and_si256(four < 4 ? x : _mm256_srli_epi16(x, 4), _mm256_set1_epi8(15));
      }
      if constexpr (kPairs > 0) {
        codes = or_bits<kNibbles - four % 4 * 2>(codes, load_plane(at, kNibbles + four / 4, half),
                                                 3 << kNibbles);
      }
      if constexpr (f.code.bits % 2 == 1) {
        constexpr int kBit = f.code.bits - 1;
        codes = or_bits<kBit - four>(codes, load_plane(at, kNibbles + kPairs, half), 1 << kBit);
      }
      if constexpr (f.code.table != Table::none) {
        const auto* levels = kLevels[static_cast<int>(f.code.table)];
        const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels));
        const __m256i wide = _mm256_broadcastsi128_si256(table);
        codes = _mm256_shuffle_epi8(kVnni ? wide : _mm256_xor_si256(wide, flip()), codes);
      }
      return codes;
    }
  }

  // Of group g; `b` is the block that it belongs to.
  __m256 scale(int b, int g) const {
    constexpr int kHalves = 2 * kPanelRows;
    const int row = 8 * half, at = g * kPanelRows + row;
    const std::byte* const d = chunk + 2 * row;
    if constexpr (f.scales == Scales::half || f.scales == Scales::half_and_minimum) {
      return load_halves(chunk + 2 * at);
    } else if constexpr (f.scales == Scales::exponent) {
      const __m256i e = _mm256_cvtepu8_epi32(load_row_bytes(chunk + at));
      return _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(e, 23)), _mm256_set1_ps(0.5f));
    } else if constexpr (f.scales == Scales::integer) {
      const __m256i s = _mm256_cvtepi8_epi32(load_row_bytes(chunk + kHalves + at));
      return _mm256_mul_ps(load_halves(d), _mm256_cvtepi32_ps(s));
    } else if constexpr (f.scales == Scales::with_minimum) {
      return _mm256_mul_ps(load_halves(d), from_unsigned(load_row_bytes(chunk + 2 * kHalves + at)));
    } else if constexpr (f.scales == Scales::nibbles) {
      const __m128i s = _mm_and_si128(load_row_bytes(chunk + 2 * kHalves + at), _mm_set1_epi8(15));
      return _mm256_mul_ps(load_halves(d), from_unsigned(s));
    } else {
      const __m256i s = _mm256_srli_epi32(load_plane(block(b), 1, half), 28);
      const __m256 eighths =
          _mm256_fmadd_ps(_mm256_cvtepi32_ps(s), _mm256_set1_ps(0.25f), _mm256_set1_ps(0.125f));
      return _mm256_mul_ps(load_halves(d), eighths);
    }
  }

  __m256 minimum(int g, __m256 scale) const {
    constexpr int kHalves = 2 * kPanelRows;
    const int row = 8 * half, at = g * kPanelRows + row;
    const std::byte* const d = chunk + kHalves + 2 * row;
    if constexpr (f.scales == Scales::half_and_minimum) {
      return load_halves(chunk + 2 * (f.groups() * kPanelRows + at));
    } else if constexpr (f.scales == Scales::with_minimum) {
      const std::byte* minimums = chunk + 2 * kHalves + f.groups() * kPanelRows;
      return _mm256_mul_ps(load_halves(d), from_unsigned(load_row_bytes(minimums + at)));
    } else if constexpr (f.scales == Scales::nibbles) {
      const __m128i both = load_row_bytes(chunk + 2 * kHalves + at);
      const __m128i m = _mm_and_si128(_mm_srli_epi16(both, 4), _mm_set1_epi8(15));
      return _mm256_mul_ps(load_halves(d), from_unsigned(m));
    } else {
      return _mm256_mul_ps(scale, _mm256_set1_ps(f.code.zero));
    }
  }
};

// Half of a chunk unpacked: what several rows are multiplied with.
template <int group, bool minimums>
struct Unpacked {
  static constexpr PanelFormat f = {{8, minimums ? 0 : 128}, Scales::half, group};
  alignas(32) std::byte planes[kChunkBlocks * 8 * kPlane / 2];
  alignas(32) float scales[2][kChunk / group * 8];  // and minimums

  template <int four>
  __m256i codes(int b) const {
    return load_bytes(planes + (8 * b + four) * (kPlane / 2));
  }
  __m256 scale(int, int g) const { return _mm256_load_ps(scales[0] + g * 8); }
  __m256 minimum(int g, __m256) const { return _mm256_load_ps(scales[1] + g * 8); }

  template <Type type>
  void unpack(const Packed<type>& from, int blocks) {
    for (int b = 0; b < blocks; ++b) {
      [&]<int... four>(std::integer_sequence<int, four...>) {
        (_mm256_store_si256(reinterpret_cast<__m256i*>(planes + (8 * b + four) * (kPlane / 2)),
                            from.template codes<four>(b)),
         ...);
      }
      (std::make_integer_sequence<int, 8>());
      for (int i = 0; i < kBlock / group; ++i) {
        const int g = b * (kBlock / group) + i;
        const __m256 scale = from.scale(b, g);
        _mm256_store_ps(scales[0] + g * 8, scale);
        if (minimums) _mm256_store_ps(scales[1] + g * 8, from.minimum(g, scale));
      }
    }
  }
};

// T rows by both halves of a panel, over one chunk; `first`: nothing has been summed up yet.
template <int T, class Chunk>
inline void codes_tile(const Chunk* halves, int blocks, const std::int8_t* const* codes,
                       const InputBlock* const* inputs, bool first, float* out,
                       std::ptrdiff_t stride) {
  constexpr PanelFormat f = Chunk::f;
  constexpr int kParts = kBlock / f.group;  // of a block, with a scale of their own
  __m256 sums[T][2];
#pragma GCC unroll 64
  for (int i = 0; i < T * 2; ++i) {
    sums[i / 2][i % 2] =
        first ? _mm256_setzero_ps() : _mm256_loadu_ps(out + i / 2 * stride + i % 2 * 8);
  }
  for (int b = 0; b < blocks; ++b) {
    const auto part = [&]<int i, int... j>(std::integral_constant<int, i>,
                                           std::integer_sequence<int, j...>)
        __attribute__((always_inline)) {
      __m256i dots[T][2];
#pragma GCC unroll 64
      for (int n = 0; n < T * 2; ++n) {
        const bool offset = kVnni && !f.has_minimums();  // cancels the 128 in the levels
        dots[n / 2][n % 2] = _mm256_set1_epi32(offset ? inputs[n / 2][b].offset : 0);
      }
      const auto add = [&]<int four>(std::integral_constant<int, four>)
          __attribute__((always_inline)) {
        const __m256i w[2] = {halves[0].template codes<four>(b), halves[1].template codes<four>(b)};
#pragma GCC unroll 64
        for (int n = 0; n < T * 2; ++n) {
          const __m256i c = four_codes(codes[n / 2] + b * kBlock + 4 * four);
          dots[n / 2][n % 2] = add_dot<f.has_minimums()>(dots[n / 2][n % 2], w[n % 2], c);
        }
      };
      (add(std::integral_constant<int, i*(f.group / 4) + j>{}), ...);
      const int g = b * kParts + i;
#pragma GCC unroll 64
      for (int h = 0; h < 2; ++h) {
        const __m256 scale = halves[h].scale(b, g);
#pragma GCC unroll 64
        for (int t = 0; t < T; ++t) {
          const __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(inputs[t][b].scale));
          sums[t][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[t][h]), both, sums[t][h]);
        }
        if constexpr (f.has_minimums()) {
          const __m256 minimum = halves[h].minimum(g, scale);
#pragma GCC unroll 64
          for (int t = 0; t < T; ++t) {
            const float sum = kParts == 1 ? inputs[t][b].sum : inputs[t][b].half_sum[i];
            sums[t][h] = _mm256_fnmadd_ps(minimum, _mm256_set1_ps(sum), sums[t][h]);
          }
        }
      }
    };
    part(std::integral_constant<int, 0>{}, std::make_integer_sequence<int, f.group / 4>());
    if constexpr (kParts == 2) {
      part(std::integral_constant<int, 1>{}, std::make_integer_sequence<int, f.group / 4>());
    }
  }
#pragma GCC unroll 64
  for (int i = 0; i < T * 2; ++i) {
    _mm256_storeu_ps(out + i / 2 * stride + i % 2 * 8, sums[i / 2][i % 2]);
  }
}

// Rows [i, n_rows) as far as whole tiles go, over the chunk that begins at column k; returns the
// first row left.
template <int T, class Chunk>
inline int codes_tiles(const Chunk* halves, int k, int blocks, const Input& input, const int* rows,
                       int i, int n_rows, float* out, std::ptrdiff_t stride) {
  for (; i + T <= n_rows; i += T) {
    const std::int8_t* codes[T];
    const InputBlock* inputs[T];
    for (int t = 0; t < T; ++t) {
      const std::ptrdiff_t row = rows ? rows[i + t] : i + t;
      codes[t] = input.codes + row * input.codes_stride + k;
      inputs[t] = input.blocks + row * input.blocks_stride + k / kBlock;
    }
    codes_tile<T>(halves, blocks, codes, inputs, k == 0, out + i * stride, stride);
  }
  return i;
}

// A single row is multiplied with the packed panel; for several, a chunk is unpacked once.
template <Type type>
void multiply_codes(const std::byte* const* panels, int n_panels, int columns, const Input& input,
                    const int* rows, int n_rows, float* out, std::ptrdiff_t stride) {
  constexpr PanelFormat f = panel_format(type);
  for (int p = 0; p < n_panels; ++p, out += kPanelRows) {
    for (int k = 0; k < columns; k += kChunk) {
      const int blocks = (columns - k < kChunk ? columns - k : kChunk) / kBlock;
      const std::byte* const chunk = panels[p] + k / kChunk * f.chunk_bytes();
      const Packed<type> packed[2] = {{chunk, 0}, {chunk, 1}};
      if (n_rows == 1) {
        codes_tiles<1>(packed, k, blocks, input, rows, 0, 1, out, stride);
        continue;
      }
      Unpacked<f.group, f.has_minimums()> unpacked[2];
      for (int half = 0; half < 2; ++half) unpacked[half].unpack(packed[half], blocks);
      const int i = codes_tiles<2>(unpacked, k, blocks, input, rows, 0, n_rows, out, stride);
      codes_tiles<1>(unpacked, k, blocks, input, rows, i, n_rows, out, stride);
    }
  }
}

void quantize(const float* values, int n, std::int8_t* codes, InputBlock* blocks) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  for (int b = 0; b < n / kBlock; ++b, values += kBlock, codes += kBlock) {
    __m256 x[4], most = _mm256_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      x[i] = _mm256_loadu_ps(values + 8 * i);
      most = _mm256_max_ps(most, _mm256_andnot_ps(sign, x[i]));
    }
    const float largest = Avx2::largest(most);
    const __m256 inverse = _mm256_set1_ps(largest > 0 ? 127 / largest : 0);
    __m256i c[4];
    for (int i = 0; i < 4; ++i) c[i] = _mm256_cvtps_epi32(_mm256_mul_ps(x[i], inverse));
    const __m256i low = _mm256_packs_epi32(c[0], c[1]), high = _mm256_packs_epi32(c[2], c[3]);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), packed);
    // Sums of four, of eight and of sixteen codes, the first half's in the lower lanes.
    __m256i few = dot_u7(_mm256_set1_epi8(1), packed);
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

void index_q8(const std::int8_t* query, const std::int32_t* offsets, const float* weights,
              int heads, int width, const std::uint8_t* keys, const float* key_scales,
              float* scores) {
  for (int t = 0; t < kPageKeys; t += 16) {
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int h = 0; h < heads; ++h) {
      const __m256i start = _mm256_set1_epi32(kVnni ? offsets[h] : 0);
      __m256i dots[2] = {start, start};
      for (int g = 0; g < width / 4; ++g) {
        const std::uint8_t* at = keys + (g * kPageKeys + t) * 4;
        const __m256i q = four_codes(query + h * width + 4 * g);
        for (int n = 0; n < 2; ++n) {
          const __m256i k = load_bytes(at + 32 * n);
          dots[n] = add_dot<false>(dots[n], kVnni ? k : _mm256_xor_si256(k, flip()), q);
        }
      }
      for (int n = 0; n < 2; ++n) {
        const __m256i positive = _mm256_max_epi32(dots[n], _mm256_setzero_si256());
        sums[n] =
            _mm256_fmadd_ps(_mm256_set1_ps(weights[h]), _mm256_cvtepi32_ps(positive), sums[n]);
      }
    }
    for (int n = 0; n < 2; ++n) {
      const __m256 scale = _mm256_loadu_ps(key_scales + t + 8 * n);
      _mm256_storeu_ps(scores + t + 8 * n, _mm256_mul_ps(sums[n], scale));
    }
  }
}

constexpr Kernels avx2_set(std::string_view name) {
  return {
      .name = name,
      .multiply = multiply_table<[]<Type type>() -> Multiply {
        if constexpr (is_quantized(type)) {
          return multiply_codes<type>;
        } else {
          return multiply_values<Avx2, type>;
        }
      }>(),
      .quantize = quantize,
      .rms_norm = rms_norm<Avx2>,
      .gate = gate<Avx2>,
      .attend_f32 = attend<Avx2, float>,
      .attend_f16 = attend<Avx2, std::uint16_t>,
      .index_f32 = index_f32<Avx2>,
      .index_q8 = index_q8,
  };
}

}  // namespace
}  // namespace corvid::model
