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

constexpr int kScaleBytes = 2 * kPanelRows;
constexpr int kBlockBytes = kScaleBytes + kBlock * kPanelRows;

__m512i four_codes(const void* codes) {
  int four;
  std::memcpy(&four, codes, 4);
  return _mm512_set1_epi32(four);
}

template <int T, int P>
inline void q8_tile(const std::byte* const* panels, int blocks, const std::int8_t* const* codes,
                    const float* const* scales, const std::int32_t* const* offsets, float* out,
                    std::ptrdiff_t stride) {
  __m512 sums[T][P];
#pragma GCC unroll 64
  for (int i = 0; i < T * P; ++i) (&sums[0][0])[i] = _mm512_setzero_ps();
  for (int b = 0; b < blocks; ++b) {
    __m512i dots[T][P];
#pragma GCC unroll 64
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 64
      for (int p = 0; p < P; ++p) dots[t][p] = _mm512_set1_epi32(offsets[t][b]);
    }
#pragma GCC unroll 8
    for (int g = 0; g < kBlock / 4; ++g) {
      __m512i w[P];
#pragma GCC unroll 64
      for (int p = 0; p < P; ++p) {
        w[p] = _mm512_loadu_si512(panels[p] + b * kBlockBytes + kScaleBytes + g * 64);
      }
#pragma GCC unroll 64
      for (int t = 0; t < T; ++t) {
        const __m512i c = four_codes(codes[t] + b * kBlock + 4 * g);
#pragma GCC unroll 64
        for (int p = 0; p < P; ++p) dots[t][p] = _mm512_dpbusd_epi32(dots[t][p], w[p], c);
      }
    }
#pragma GCC unroll 64
    for (int p = 0; p < P; ++p) {
      const __m512 scale =
          Avx512::load_f16(reinterpret_cast<const std::uint16_t*>(panels[p] + b * kBlockBytes));
#pragma GCC unroll 64
      for (int t = 0; t < T; ++t) {
        const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(scales[t][b]));
        sums[t][p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t][p]), both, sums[t][p]);
      }
    }
  }
#pragma GCC unroll 64
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 64
    for (int p = 0; p < P; ++p) _mm512_storeu_ps(out + t * stride + p * kPanelRows, sums[t][p]);
  }
}

template <int T, int P>
inline int q8_tiles(const std::byte* const* panels, int k, const Input& input, const int* rows,
                    int i, int n_rows, float* out, std::ptrdiff_t stride) {
  for (; i + T <= n_rows; i += T) {
    const std::int8_t* codes[T];
    const float* scales[T];
    const std::int32_t* offsets[T];
    for (int t = 0; t < T; ++t) {
      const std::ptrdiff_t row = rows ? rows[i + t] : i + t;
      codes[t] = input.codes + row * input.codes_stride;
      scales[t] = input.scales + row * input.blocks_stride;
      offsets[t] = input.offsets + row * input.blocks_stride;
    }
    q8_tile<T, P>(panels, k / kBlock, codes, scales, offsets, out + i * stride, stride);
  }
  return i;
}

void multiply_q8(const std::byte* const* panels, int n_panels, int k, const Input& input,
                 const int* rows, int n_rows, float* out, std::ptrdiff_t stride) {
  if (n_rows == 1 && n_panels == 4) {
    q8_tiles<1, 4>(panels, k, input, rows, 0, 1, out, stride);
    return;
  }
  int p = 0;
  for (; p + 2 <= n_panels; p += 2) {
    float* const to = out + p * kPanelRows;
    int i = q8_tiles<6, 2>(panels + p, k, input, rows, 0, n_rows, to, stride);
    i = q8_tiles<3, 2>(panels + p, k, input, rows, i, n_rows, to, stride);
    q8_tiles<1, 2>(panels + p, k, input, rows, i, n_rows, to, stride);
  }
  if (p == n_panels) return;
  float* const to = out + p * kPanelRows;
  const int i = q8_tiles<8, 1>(panels + p, k, input, rows, 0, n_rows, to, stride);
  q8_tiles<1, 1>(panels + p, k, input, rows, i, n_rows, to, stride);
}

void quantize(const float* values, int n, std::int8_t* codes, float* scales,
              std::int32_t* offsets) {
  for (int b = 0; b < n / kBlock; ++b, values += kBlock, codes += kBlock) {
    const __m512 x0 = _mm512_loadu_ps(values), x1 = _mm512_loadu_ps(values + 16);
    const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(x0), _mm512_abs_ps(x1)));
    const __m512 inverse = _mm512_set1_ps(largest > 0 ? 127 / largest : 0);
    const __m512i c0 = _mm512_cvtps_epi32(_mm512_mul_ps(x0, inverse));
    const __m512i c1 = _mm512_cvtps_epi32(_mm512_mul_ps(x1, inverse));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm512_cvtepi32_epi8(c0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + 16), _mm512_cvtepi32_epi8(c1));
    scales[b] = largest / 127;
    offsets[b] = -128 * _mm512_reduce_add_epi32(_mm512_add_epi32(c0, c1));
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
    .multiply = {multiply_values<Avx512, Layout::f32>, multiply_values<Avx512, Layout::f16>,
                 multiply_values<Avx512, Layout::bf16>, multiply_q8},
    .quantize = quantize,
    .rms_norm = rms_norm<Avx512>,
    .gate = gate<Avx512>,
    .attend_f32 = attend<Avx512, float>,
    .attend_bf16 = attend<Avx512, std::uint16_t>,
    .index_f32 = index_f32<Avx512>,
    .index_q8 = index_q8,
};

}  // namespace

const Kernels& avx512_kernels() {
  return kAvx512;
}

}  // namespace corvid::model
