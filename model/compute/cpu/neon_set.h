// The vectors of NEON as every aarch64 processor has it, with and without products of four bytes.
//
// Included only by neon.cpp and neon_dot.cpp, each of which compiles it for itself and makes a set
// of it.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "model/compute/cpu/simd_codes.h"

namespace corvid::model {
namespace {

struct Neon {
  using F = float32x4_t;
  using Bytes = int8x16_t;
  using Words = int32x4_t;
  static constexpr int kLanes = 4;
  static constexpr int kParts = 4;
  static constexpr int kTileRows = 3;
  static constexpr int kScoreHeads = 4;
  static constexpr int kWeighHeads = 8;
  static constexpr int kCodePanels = 1;
  static constexpr int kCodeRows[] = {2};
  static constexpr int kIndexHeads = 4;
  static constexpr int kIndexVectors = 4;
  static constexpr bool kUnsignedLevels = false;

  static F load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, F x) { vst1q_f32(p, x); }
  static F set1(float x) { return vdupq_n_f32(x); }
  static F zero() { return vdupq_n_f32(0); }
  static F abs(F x) { return vabsq_f32(x); }
  static F add(F a, F b) { return vaddq_f32(a, b); }
  static F sub(F a, F b) { return vsubq_f32(a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F div(F a, F b) { return vdivq_f32(a, b); }
  static F max(F a, F b) { return vmaxq_f32(a, b); }
  static F min(F a, F b) { return vminq_f32(a, b); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static F fms(F a, F b, F c) { return vfmsq_f32(c, a, b); }
  static float sum(F x) { return vaddvq_f32(x); }
  static float largest(F x) { return vmaxvq_f32(x); }
  static F round_even(F x) { return vrndnq_f32(x); }
  static F times_power_of_two(F x, F n) {
    const int32x4_t exponent = vshlq_n_s32(vcvtq_s32_f32(n), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x), exponent));
  }
  static F load_f16(const std::uint16_t* p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
  }
  static F load_bf16(const std::uint16_t* p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
  }

  static Bytes load_bytes(const void* p) { return vld1q_s8(static_cast<const std::int8_t*>(p)); }
  static void store_bytes(void* p, Bytes x) { vst1q_s8(static_cast<std::int8_t*>(p), x); }
  static Bytes four(const void* codes) {
    std::int32_t four;
    std::memcpy(&four, codes, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
  static Bytes no_bytes() { return vdupq_n_s8(0); }
  static Bytes byte(int x) { return vdupq_n_s8(static_cast<std::int8_t>(x)); }
  static Bytes flip(Bytes x) { return veorq_s8(x, byte(0x80)); }
  static Bytes keep(Bytes x, int mask) { return vandq_s8(x, byte(mask)); }
  static Bytes or_kept(Bytes y, Bytes x, int mask) { return vorrq_s8(y, keep(x, mask)); }
  template <int left>
  static Bytes shift(Bytes x) {
    if constexpr (left >= 0) {
      return vshlq_n_s8(x, left);
    } else {
      return vreinterpretq_s8_u8(vshrq_n_u8(vreinterpretq_u8_s8(x), -left));
    }
  }
  static Bytes look_up(const std::uint8_t* table, Bytes codes) {
    return vqtbl1q_s8(flip(load_bytes(table)), vreinterpretq_u8_s8(codes));
  }
  // Half an entry of the codebook of IQ2_XXS for each row, with its signs.
  template <int four>
  static Bytes codebook(const std::byte* block, int part) {
    const auto* const index =
        reinterpret_cast<const std::uint8_t*>(block) + four / 2 * kPanelRows + kLanes * part;
    std::uint32_t values[kLanes], signs[kLanes];
    for (int r = 0; r < kLanes; ++r) {
      values[r] = static_cast<std::uint32_t>(iq2_xxs_grid()[index[r]] >> (32 * (four % 2)));
      std::uint32_t word;
      std::memcpy(&word, block + kPlane + 4 * (kLanes * part + r), 4);
      const std::uint32_t seven = word >> (four / 2 * 7) & 127;
      // The eighth sign makes their number even.
      signs[r] = four % 2 == 0 ? seven : seven >> 4 | (__builtin_popcount(seven) & 1) << 3;
    }
    // Each byte of a row looks at its own bit of the four signs.
    const uint8x16_t spread = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
    const uint8x16_t bits = vreinterpretq_u8_u32(vdupq_n_u32(0x08040201));
    const uint8x16_t mine = vqtbl1q_u8(vreinterpretq_u8_u32(vld1q_u32(signs)), spread);
    const Bytes mask = vreinterpretq_s8_u8(vtstq_u8(mine, bits));
    const Bytes magnitudes = vreinterpretq_s8_u32(vld1q_u32(values));
    return vsubq_s8(veorq_s8(magnitudes, mask), mask);
  }

  static Words words(int x) { return vdupq_n_s32(x); }
  template <bool few_bits>
  static Words dot(Words sums, Bytes levels, Bytes codes) {
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_s32(sums, levels, codes);
#else
    // Sums of two products still fit into 16 bits: 128 * 127 * 2.
    const int16x8_t low = vmull_s8(vget_low_s8(levels), vget_low_s8(codes));
    return vpadalq_s16(sums, vpaddq_s16(low, vmull_high_s8(levels, codes)));
#endif
  }
  static Words positive(Words x) {
    return vmaxq_s32(x, vdupq_n_s32(0));
  }
  static F floats(Words x) {
    return vcvtq_f32_s32(x);
  }

  // Four bytes, widened.
  static uint32x4_t widen(const std::byte* p, int right = 0, std::uint8_t mask = 255) {
    std::uint32_t four;
    std::memcpy(&four, p, 4);
    const uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(four >> right));
    return vmovl_u16(vget_low_u16(vmovl_u8(vand_u8(bytes, vdup_n_u8(mask)))));
  }
  static F from_bytes(const std::byte* p) {
    return vcvtq_f32_u32(widen(p));
  }
  static F from_low(const std::byte* p) {
    return vcvtq_f32_u32(widen(p, 0, 15));
  }
  static F from_high(const std::byte* p) {
    return vcvtq_f32_u32(widen(p, 4, 15));
  }
  static F from_signed(const std::byte* p) {
    const int32x4_t high = vreinterpretq_s32_u32(vshlq_n_u32(widen(p), 24));
    return vcvtq_f32_s32(vshrq_n_s32(high, 24));
  }
  static F exponent(const std::byte* p) {  // one less than that of 2^(e - 127)
    return mul(vreinterpretq_f32_u32(vshlq_n_u32(widen(p), 23)), set1(0.5f));
  }
  static F top_bits(const std::byte* p) {
    return vcvtq_f32_u32(vshrq_n_u32(vreinterpretq_u32_s8(load_bytes(p)), 28));
  }

  // 32 codes, and the sums of 16 of them each.
  static void encode(const float* values, float inverse, std::int8_t* codes, int* sums) {
    for (int half = 0; half < 2; ++half) {
      int16x4_t few[4];
      for (int i = 0; i < 4; ++i) {
        const F x = mul(load(values + 16 * half + 4 * i), set1(inverse));
        few[i] = vmovn_s32(vcvtnq_s32_f32(x));
      }
      const int8x8_t low = vmovn_s16(vcombine_s16(few[0], few[1]));
      const int8x8_t high = vmovn_s16(vcombine_s16(few[2], few[3]));
      const Bytes all = vcombine_s8(low, high);
      store_bytes(codes + 16 * half, all);
      sums[half] = vaddlvq_s8(all);
    }
  }
};

}  // namespace
}  // namespace corvid::model
