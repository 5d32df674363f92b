// The vectors of AVX-512 with VNNI.
//
// Included only by avx512.cpp and amx.cpp, each of which compiles it for itself.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "model/compute/cpu/simd_codes.h"

namespace corvid::model {
namespace {

struct Avx512 {
  using F = __m512;
  using Bytes = __m512i;
  using Words = __m512i;
  static constexpr int kLanes = 16;
  static constexpr int kParts = 1;
  static constexpr int kTileRows = 12;
  static constexpr int kScoreHeads = 4;
  static constexpr int kWeighHeads = 8;
  static constexpr int kCodePanels = 2;
  static constexpr int kCodeRows[] = {8, 6};
  static constexpr int kIndexHeads = 4;
  static constexpr int kIndexVectors = 4;
  static constexpr bool kUnsignedLevels = true;

  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static F set1(float x) { return _mm512_set1_ps(x); }
  static F zero() { return _mm512_setzero_ps(); }
  static F abs(F x) { return _mm512_abs_ps(x); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F fms(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
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

  static Bytes load_bytes(const void* p) { return _mm512_loadu_si512(p); }
  static void store_bytes(void* p, Bytes x) { _mm512_storeu_si512(p, x); }
  static Bytes four(const void* codes) {
    int four;
    std::memcpy(&four, codes, 4);
    return _mm512_set1_epi32(four);
  }
  static Bytes no_bytes() { return _mm512_setzero_si512(); }
  static Bytes byte(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
  static Bytes flip(Bytes x) { return _mm512_xor_si512(x, byte(0x80)); }
  static Bytes keep(Bytes x, int mask) { return _mm512_and_si512(x, byte(mask)); }
  static Bytes or_kept(Bytes y, Bytes x, int mask) {
    return _mm512_ternarylogic_epi32(y, x, byte(mask), 0xF8);  // y | (x & mask)
  }
  template <int left>
  static Bytes shift(Bytes x) {
    return left >= 0 ? _mm512_slli_epi16(x, left >= 0 ? left : 0)
                     : _mm512_srli_epi16(x, left < 0 ? -left : 0);
  }
  static Bytes look_up(const std::uint8_t* table, Bytes codes) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(sixteen), codes);
  }
  // Half an entry of the codebook of IQ2_XXS for each row, with its signs.
  template <int four>
  static Bytes codebook(const std::byte* block, int) {
    const __m512i index = _mm512_cvtepu8_epi32(row_bytes(block + four / 2 * kPanelRows));
    const __m512i half = _mm512_set1_epi32(four % 2);
    const __m512i at = _mm512_add_epi32(_mm512_add_epi32(index, index), half);
    const __m512i values = _mm512_i32gather_epi32(at, iq2_xxs_grid(), 4);
    const __m512i word = load_bytes(block + kPlane);
    __m512i signs = _mm512_and_si512(_mm512_srli_epi32(word, four / 2 * 7), _mm512_set1_epi32(127));
    if constexpr (four % 2 == 1) {  // the eighth sign makes their number even
      __m512i odd = _mm512_xor_si512(signs, _mm512_srli_epi32(signs, 4));
      odd = _mm512_xor_si512(odd, _mm512_srli_epi32(odd, 2));
      odd = _mm512_xor_si512(odd, _mm512_srli_epi32(odd, 1));
      signs = _mm512_or_si512(_mm512_srli_epi32(signs, 4),
                              _mm512_slli_epi32(_mm512_and_si512(odd, _mm512_set1_epi32(1)), 3));
    }
    const __m512i masks = _mm512_setr_epi32(
        0, 0xFF, 0xFF00, 0xFFFF, 0xFF0000, 0xFF00FF, 0xFFFF00, 0xFFFFFF,
        static_cast<int>(0xFF000000), static_cast<int>(0xFF0000FF), static_cast<int>(0xFF00FF00),
        static_cast<int>(0xFF00FFFF), static_cast<int>(0xFFFF0000), static_cast<int>(0xFFFF00FF),
        static_cast<int>(0xFFFFFF00), -1);
    const __m512i mask = _mm512_permutexvar_epi32(signs, masks);  // its low four bits count
    return _mm512_sub_epi8(_mm512_xor_si512(values, mask), mask);
  }

  static Words words(int x) { return _mm512_set1_epi32(x); }
  template <bool few_bits>
  static Words dot(Words sums, Bytes levels, Bytes codes) {
    return _mm512_dpbusd_epi32(sums, levels, codes);
  }
  static Words positive(Words x) { return _mm512_max_epi32(x, _mm512_setzero_si512()); }
  static F floats(Words x) { return _mm512_cvtepi32_ps(x); }

  static __m128i row_bytes(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  static F from_unsigned(__m128i x) { return floats(_mm512_cvtepu8_epi32(x)); }
  static F from_bytes(const std::byte* p) { return from_unsigned(row_bytes(p)); }
  static F from_signed(const std::byte* p) { return floats(_mm512_cvtepi8_epi32(row_bytes(p))); }
  static F from_low(const std::byte* p) {
    return from_unsigned(_mm_and_si128(row_bytes(p), _mm_set1_epi8(15)));
  }
  static F from_high(const std::byte* p) {
    return from_unsigned(_mm_and_si128(_mm_srli_epi16(row_bytes(p), 4), _mm_set1_epi8(15)));
  }
  static F exponent(const std::byte* p) {  // one less than that of 2^(e - 127)
    const __m512i e = _mm512_slli_epi32(_mm512_cvtepu8_epi32(row_bytes(p)), 23);
    return mul(_mm512_castsi512_ps(e), set1(0.5f));
  }
  static F top_bits(const std::byte* p) { return floats(_mm512_srli_epi32(load_bytes(p), 28)); }

  // 32 codes, and the sums of 16 of them each.
  static void encode(const float* values, float inverse, std::int8_t* codes, int* sums) {
    __m128i packed[2];
    for (int i = 0; i < 2; ++i) {
      const F x = mul(load(values + 16 * i), set1(inverse));
      packed[i] = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x));
    }
    const __m256i all = _mm256_set_m128i(packed[1], packed[0]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), all);
    // Sums of four, of eight and of sixteen codes, the first half's in the lower lanes.
    __m256i few = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), all);
    few = _mm256_hadd_epi32(few, few);
    few = _mm256_hadd_epi32(few, few);
    sums[0] = _mm256_extract_epi32(few, 0);
    sums[1] = _mm256_extract_epi32(few, 4);
  }
};

}  // namespace
}  // namespace corvid::model
