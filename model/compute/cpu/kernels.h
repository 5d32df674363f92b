// The inner loops of the CPU back end: one table of functions per instruction set.
//
// Kernels are single-threaded, keep no state and allocate nothing. The scalar set is the reference:
// every other set is tested against it. Files of a set are compiled with that set's flags, so they
// must not be entered, nor their inline functions be shared, before the CPU has been asked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "model/compute/cpu/panels.h"

namespace corvid::model {

inline constexpr int kMaxPanels = 4;
inline constexpr int kFewRows = 4;  // for which reading weights takes longer than multiplying them
// How far ahead of a few rows' sums the panels are fetched, in bytes. Panels follow each other
// in memory; the processor's own prefetching starts anew at every page.
inline constexpr int kFetchAhead = 7168;

// What belongs to 32 columns of an activation row: code = round(value / scale).
struct InputBlock {
  float scale;
  std::int32_t offset;     // -128 * (sum of the codes): cancels the 128 in the weights' codes
  float sum, half_sum[2];  // scale * (sum of the codes), of all and of 16 columns each
};

// Activation rows, prepared for multiplication: plain values, codes, or both.
struct Input {
  const float* values = nullptr;  // [row][k]
  std::ptrdiff_t values_stride = 0;
  const std::int8_t* codes = nullptr;  // [row][k]
  std::ptrdiff_t codes_stride = 0;
  const InputBlock* blocks = nullptr;  // [row][k / 32]
  std::ptrdiff_t blocks_stride = 0;
};

// out[i * stride + p * 16 + r] = panel p, row r, times input row rows[i] (or i when rows is null).
// A set sums the products of a row in one order, however many rows and panels it is given: a token
// has the same bits in a prefill as alone.
using Multiply = void (*)(const std::byte* const* panels, int n_panels, int k, const Input& input,
                          const int* rows, int n_rows, float* out, std::ptrdiff_t stride);

// One running softmax per head over the tiles of a row's tokens.
struct SoftmaxState {
  float* largest;   // [heads], starts at -infinity
  float* sum;       // [heads], starts at 0
  float* weighted;  // [heads][latent, padded to 16], starts at 0
};

struct AttentionTile {
  const float* query = nullptr;  // [heads][width], already scaled
  int heads = 0;
  int width = 0;                       // latent + rope, padded to 16 with zeros
  int latent = 0;                      // padded to 16
  const void* const* rows = nullptr;   // [n] cached rows of `width` values
  int n = 0;                           // at most kTileTokens
  const void* const* ahead = nullptr;  // [n_ahead] rows that are read next
  int n_ahead = 0;                     // at most kTileTokens
  float* scratch = nullptr;            // [heads * kTileTokens + heads * width]
};
inline constexpr int kTileTokens = 128;
inline constexpr int kPageKeys = 64;  // index keys that lie side by side

struct Kernels {
  std::string_view name;
  std::array<Multiply, kTypeIds>
      multiply;  // by Type, null if not supported; at most kMaxPanels panels
  // n values, a multiple of 32.
  void (*quantize)(const float* values, int n, std::int8_t* codes, InputBlock* blocks);
  // The sum of n values, a multiple of 64, fetched ahead as panels are: the least work on what is
  // read, for measure_read_bandwidth.
  float (*sum)(const float* values, std::size_t n);
  void (*rms_norm)(const float* x, const float* weight, int n, float eps, float* out);
  // out[i] = factor * silu(gate[i]) * up[i]
  void (*gate)(const float* gate, const float* up, float factor, int n, float* out);
  void (*attend_f32)(const AttentionTile& tile, const SoftmaxState& state);
  void (*attend_f16)(const AttentionTile& tile, const SoftmaxState& state);
  // Adds n scores to a running softmax: they become weights relative to the new largest one, zeros
  // follow up to the next multiple of 16. Returns the factor by which what was summed before
  // shrinks.
  float (*soften)(float* scores, int n, float* largest, float* sum);
  // scores[t] = sum over heads of weight[h] * relu(query[h] . key[t]) for the 64 keys of a page;
  // keys [width][64] f32.
  void (*index_f32)(const float* query, const float* weights, int heads, int width,
                    const float* keys, float* scores);
  // The same with codes: keys [width / 4][64][4] u8 = code + 128; scores are multiplied by
  // key_scales; query scales are part of `weights`; offsets[h] = -128 * (sum of query codes).
  // `next` are the keys that will be scored after these, on their way from memory meanwhile.
  void (*index_q8)(const std::int8_t* query, const std::int32_t* offsets, const float* weights,
                   int heads, int width, const std::uint8_t* keys, const float* key_scales,
                   const std::uint8_t* next, float* scores);
};

// A set's functions for every type that can be multiplied; kernel_of<type>() is the one of a type.
template <auto kernel_of>
constexpr std::array<Multiply, kTypeIds> multiply_table() {
  std::array<Multiply, kTypeIds> table{};
  const auto set = [&]<Type... types>(std::integer_sequence<Type, types...>) {
    ((table[static_cast<int>(types)] = kernel_of.template operator()<types>()), ...);
  };
  set(std::integer_sequence<Type, Type::f32, Type::f16, Type::bf16, Type::q4_0, Type::q4_1,
                            Type::q5_0, Type::q5_1, Type::q8_0, Type::q2_k, Type::q3_k, Type::q4_k,
                            Type::q5_k, Type::q6_k, Type::iq2_xxs, Type::iq4_nl, Type::iq4_xs,
                            Type::mxfp4>());
  return table;
}

const Kernels& scalar_kernels();
#if defined(__x86_64__)
const Kernels& avx2_kernels();      // AVX2, FMA, F16C
const Kernels& avx_vnni_kernels();  // and AVX-VNNI
const Kernels& avx512_kernels();    // AVX-512 F, BW, VL, DQ and VNNI
const Kernels& amx_kernels();       // and AMX tiles of bytes
#elif defined(__aarch64__)
const Kernels& neon_kernels();      // what every aarch64 processor has
const Kernels& neon_dot_kernels();  // and products of four bytes
#endif

// "auto", or a set by name. ModelError when it is unknown or this machine lacks it.
const Kernels& choose_kernels(std::string_view name);

}  // namespace corvid::model
