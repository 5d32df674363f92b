// AVX2 with FMA and F16C (Haswell and Zen onwards). Compiled with those flags.
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

constexpr int kScaleBytes = 2 * kPanelRows;
constexpr int kBlockBytes = kScaleBytes + kBlock * kPanelRows;

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
__m256i dot_i8(__m256i a, __m256i b) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// T rows by one panel, in two halves of 8 lanes.
template <int T>
inline void q8_tile(const std::byte* panel, int blocks, const std::int8_t* const* codes,
                    const float* const* scales, float* out, std::ptrdiff_t stride) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
  __m256 sums[T][2];
#pragma GCC unroll 64
  for (int i = 0; i < T * 2; ++i) (&sums[0][0])[i] = _mm256_setzero_ps();
  for (int b = 0; b < blocks; ++b) {
    const std::byte* block = panel + b * kBlockBytes;
    __m256i dots[T][2];
#pragma GCC unroll 64
    for (int i = 0; i < T * 2; ++i) (&dots[0][0])[i] = _mm256_setzero_si256();
    for (int g = 0; g < kBlock / 4; ++g) {
      const std::byte* at = block + kScaleBytes + g * 64;
      const __m256i w0 = _mm256_xor_si256(load_bytes(at), flip);
      const __m256i w1 = _mm256_xor_si256(load_bytes(at + 32), flip);
#pragma GCC unroll 64
      for (int t = 0; t < T; ++t) {
        const __m256i c = four_codes(codes[t] + b * kBlock + 4 * g);
        dots[t][0] = _mm256_add_epi32(dots[t][0], dot_i8(w0, c));
        dots[t][1] = _mm256_add_epi32(dots[t][1], dot_i8(w1, c));
      }
    }
    const auto* halves = reinterpret_cast<const std::uint16_t*>(block);
#pragma GCC unroll 64
    for (int n = 0; n < 2; ++n) {
      const __m256 scale = Avx2::load_f16(halves + 8 * n);
#pragma GCC unroll 64
      for (int t = 0; t < T; ++t) {
        const __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(scales[t][b]));
        sums[t][n] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[t][n]), both, sums[t][n]);
      }
    }
  }
#pragma GCC unroll 64
  for (int t = 0; t < T; ++t) {
    _mm256_storeu_ps(out + t * stride, sums[t][0]);
    _mm256_storeu_ps(out + t * stride + 8, sums[t][1]);
  }
}

template <int T>
inline int q8_tiles(const std::byte* panel, int k, const Input& input, const int* rows, int i,
                    int n_rows, float* out, std::ptrdiff_t stride) {
  for (; i + T <= n_rows; i += T) {
    const std::int8_t* codes[T];
    const float* scales[T];
    for (int t = 0; t < T; ++t) {
      const std::ptrdiff_t row = rows ? rows[i + t] : i + t;
      codes[t] = input.codes + row * input.codes_stride;
      scales[t] = input.scales + row * input.blocks_stride;
    }
    q8_tile<T>(panel, k / kBlock, codes, scales, out + i * stride, stride);
  }
  return i;
}

void multiply_q8(const std::byte* const* panels, int n_panels, int k, const Input& input,
                 const int* rows, int n_rows, float* out, std::ptrdiff_t stride) {
  for (int p = 0; p < n_panels; ++p) {
    float* to = out + p * kPanelRows;
    const int i = q8_tiles<2>(panels[p], k, input, rows, 0, n_rows, to, stride);
    q8_tiles<1>(panels[p], k, input, rows, i, n_rows, to, stride);
  }
}

void quantize(const float* values, int n, std::int8_t* codes, float* scales,
              std::int32_t* offsets) {
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
    std::int32_t sum = 0;
    for (int i = 0; i < kBlock; ++i) sum += codes[i];
    scales[b] = largest / 127;
    offsets[b] = -128 * sum;
  }
}

void index_q8(const std::int8_t* query, const std::int32_t*, const float* weights, int heads,
              int width, const std::uint8_t* keys, const float* key_scales, float* scores) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
  for (int t = 0; t < kPageKeys; t += 16) {
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int h = 0; h < heads; ++h) {
      __m256i dots[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
      for (int g = 0; g < width / 4; ++g) {
        const std::uint8_t* at = keys + (g * kPageKeys + t) * 4;
        const __m256i q = four_codes(query + h * width + 4 * g);
        for (int n = 0; n < 2; ++n) {
          const __m256i k = _mm256_xor_si256(load_bytes(at + 32 * n), flip);
          dots[n] = _mm256_add_epi32(dots[n], dot_i8(k, q));
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

constexpr Kernels kAvx2 = {
    .name = "avx2",
    .multiply = {multiply_values<Avx2, Layout::f32>, multiply_values<Avx2, Layout::f16>,
                 multiply_values<Avx2, Layout::bf16>, multiply_q8},
    .quantize = quantize,
    .rms_norm = rms_norm<Avx2>,
    .gate = gate<Avx2>,
    .attend_f32 = attend<Avx2, float>,
    .attend_bf16 = attend<Avx2, std::uint16_t>,
    .index_f32 = index_f32<Avx2>,
    .index_q8 = index_q8,
};

}  // namespace

const Kernels& avx2_kernels() {
  return kAvx2;
}

}  // namespace corvid::model
