// The vectors of AVX2 with FMA and F16C, with and without VNNI's products of four bytes.
//
// Included only by avx2.cpp and avx_vnni.cpp, each of which compiles it for itself and makes a set
// of it.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "model/compute/cpu/simd_codes.h"

namespace corvid::model {
namespace {

struct Avx2 {
  using F = __m256;
  using Bytes = __m256i;
  using Words = __m256i;
  static constexpr int kLanes = 8;
  static constexpr int kParts = 2;
  static constexpr int kTileRows = 3;
  static constexpr int kScoreHeads = 2;
  static constexpr int kWeighHeads = 4;
  static constexpr int kCodePanels = 1;
  static constexpr int kCodeRows[] = {2};
  static constexpr int kIndexHeads = 4;
  static constexpr int kIndexVectors = 2;
#ifdef __AVXVNNI__
  static constexpr bool kUnsignedLevels = true;
#else
  static constexpr bool kUnsignedLevels = false;
#endif

  static F load(const float* p) {
    return _mm256_loadu_ps(p);
  }
  static void store(float* p, F x) {
    _mm256_storeu_ps(p, x);
  }
  static F set1(float x) {
    return _mm256_set1_ps(x);
  }
  static F zero() {
    return _mm256_setzero_ps();
  }
  static F abs(F x) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
  }
  static F add(F a, F b) {
    return _mm256_add_ps(a, b);
  }
  static F sub(F a, F b) {
    return _mm256_sub_ps(a, b);
  }
  static F mul(F a, F b) {
    return _mm256_mul_ps(a, b);
  }
  static F div(F a, F b) {
    return _mm256_div_ps(a, b);
  }
  static F max(F a, F b) {
    return _mm256_max_ps(a, b);
  }
  static F min(F a, F b) {
    return _mm256_min_ps(a, b);
  }
  static F fma(F a, F b, F c) {
    return _mm256_fmadd_ps(a, b, c);
  }
  static F fms(F a, F b, F c) {
    return _mm256_fnmadd_ps(a, b, c);
  }
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

  static Bytes load_bytes(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  static void store_bytes(void* p, Bytes x) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), x);
  }
  static Bytes four(const void* codes) {
    int four;
    std::memcpy(&four, codes, 4);
    return _mm256_set1_epi32(four);
  }
  static Bytes no_bytes() {
    return _mm256_setzero_si256();
  }
  static Bytes byte(int x) {
    return _mm256_set1_epi8(static_cast<char>(x));
  }
  static Bytes flip(Bytes x) {
    return _mm256_xor_si256(x, byte(0x80));
  }
  static Bytes keep(Bytes x, int mask) {
    return _mm256_and_si256(x, byte(mask));
  }
  static Bytes or_kept(Bytes y, Bytes x, int mask) {
    return _mm256_or_si256(y, keep(x, mask));
  }
  template <int left>
  static Bytes shift(Bytes x) {
    return left >= 0 ? _mm256_slli_epi16(x, left >= 0 ? left : 0)
                     : _mm256_srli_epi16(x, left < 0 ? -left : 0);
  }
  static Bytes look_up(const std::uint8_t* table, Bytes codes) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    const __m256i wide = _mm256_broadcastsi128_si256(sixteen);
    return _mm256_shuffle_epi8(kUnsignedLevels ? wide : flip(wide), codes);
  }
  // Half an entry of the codebook of IQ2_XXS for each row, with its signs.
  template <int four>
  static Bytes codebook(const std::byte* block, int part) {
    const __m256i index = _mm256_cvtepu8_epi32(eight(block + four / 2 * kPanelRows + 8 * part));
    const __m256i half = _mm256_set1_epi32(four % 2);
    const __m256i at = _mm256_add_epi32(_mm256_add_epi32(index, index), half);
    const auto* grid = reinterpret_cast<const int*>(iq2_xxs_grid());
    const __m256i values = _mm256_i32gather_epi32(grid, at, 4);
    const __m256i word = load_bytes(block + kPlane + part * 32);
    __m256i signs = _mm256_and_si256(_mm256_srli_epi32(word, four / 2 * 7), _mm256_set1_epi32(127));
    if constexpr (four % 2 == 1) {  // the eighth sign makes their number even
      __m256i odd = _mm256_xor_si256(signs, _mm256_srli_epi32(signs, 4));
      odd = _mm256_xor_si256(odd, _mm256_srli_epi32(odd, 2));
      odd = _mm256_xor_si256(odd, _mm256_srli_epi32(odd, 1));
      signs = _mm256_or_si256(_mm256_srli_epi32(signs, 4),
                              _mm256_slli_epi32(_mm256_and_si256(odd, _mm256_set1_epi32(1)), 3));
    }
    // Each byte of a row looks at its own bit of the four signs.
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 0,
                                            0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    const __m256i bits = _mm256_set1_epi32(0x08040201);
    const __m256i mine = _mm256_and_si256(_mm256_shuffle_epi8(signs, spread), bits);
    const __m256i mask = _mm256_cmpeq_epi8(mine, bits);
    return _mm256_sub_epi8(_mm256_xor_si256(values, mask), mask);
  }

  static Words words(int x) {
    return _mm256_set1_epi32(x);
  }
  template <bool few_bits>
  static Words dot(Words sums, Bytes levels, Bytes codes) {
#ifdef __AVXVNNI__
    return _mm256_dpbusd_avx_epi32(sums, levels, codes);
#else
    // The instruction wants its first factor unsigned: signs move to the second one. 128 * 127 * 2
    // still fits into 16 bits.
    const __m256i pairs =
        few_bits ? _mm256_maddubs_epi16(levels, codes)
                 : _mm256_maddubs_epi16(_mm256_abs_epi8(levels), _mm256_sign_epi8(codes, levels));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#endif
  }
  static Words positive(Words x) {
    return _mm256_max_epi32(x, _mm256_setzero_si256());
  }
  static F floats(Words x) {
    return _mm256_cvtepi32_ps(x);
  }

  static __m128i eight(const void* p) {
    return _mm_loadl_epi64(static_cast<const __m128i*>(p));
  }
  static F from_unsigned(__m128i x) {
    return floats(_mm256_cvtepu8_epi32(x));
  }
  static F from_bytes(const std::byte* p) {
    return from_unsigned(eight(p));
  }
  static F from_signed(const std::byte* p) {
    return floats(_mm256_cvtepi8_epi32(eight(p)));
  }
  static F from_low(const std::byte* p) {
    return from_unsigned(_mm_and_si128(eight(p), _mm_set1_epi8(15)));
  }
  static F from_high(const std::byte* p) {
    return from_unsigned(_mm_and_si128(_mm_srli_epi16(eight(p), 4), _mm_set1_epi8(15)));
  }
  static F exponent(const std::byte* p) {  // one less than that of 2^(e - 127)
    const __m256i e = _mm256_slli_epi32(_mm256_cvtepu8_epi32(eight(p)), 23);
    return mul(_mm256_castsi256_ps(e), set1(0.5f));
  }
  static F top_bits(const std::byte* p) {
    return floats(_mm256_srli_epi32(load_bytes(p), 28));
  }

  // 32 codes, and the sums of 16 of them each.
  static void encode(const float* values, float inverse, std::int8_t* codes, int* sums) {
    __m256i c[4];
    for (int i = 0; i < 4; ++i) {
      c[i] = _mm256_cvtps_epi32(mul(load(values + 8 * i), set1(inverse)));
    }
    const __m256i low = _mm256_packs_epi32(c[0], c[1]), high = _mm256_packs_epi32(c[2], c[3]);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i all = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    store_bytes(codes, all);
    // Sums of four, of eight and of sixteen codes, the first half's in the lower lanes.
    __m256i few = _mm256_maddubs_epi16(_mm256_set1_epi8(1), all);
    few = _mm256_madd_epi16(few, _mm256_set1_epi16(1));
    few = _mm256_hadd_epi32(few, few);
    few = _mm256_hadd_epi32(few, few);
    sums[0] = _mm256_extract_epi32(few, 0);
    sums[1] = _mm256_extract_epi32(few, 4);
  }
};

}  // namespace
}  // namespace corvid::model
