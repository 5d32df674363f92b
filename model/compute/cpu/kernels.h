// The inner loops of the CPU back end: one table of functions per instruction set.
//
// Kernels are single-threaded, keep no state and allocate nothing. The scalar set is the reference:
// every other set is tested against it. Files of a set are compiled with that set's flags, so they
// must not be entered, nor their inline functions be shared, before the CPU has been asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace corvid::model {

// Weights are repacked into panels of 16 rows whose values lie side by side, so that a vector lane
// is a row and nothing is summed across lanes.
inline constexpr int kPanelRows = 16;
inline constexpr int kMaxPanels = 4;
inline constexpr int kBlock = 32;  // values that share a scale

// How the values of a panel are laid out; `k` runs over columns, `r` over the panel's rows.
enum class Layout : std::uint8_t {
  f32,   // [k][r] f32
  f16,   // [k][r] f16
  bf16,  // [k][r] bf16
  q8,    // per 32 columns: f16 scale[r], then u8 code[k/4][r][4]; value = scale * (code - 128)
};
inline constexpr int kLayouts = 4;
constexpr bool takes_codes(Layout layout) {
  return layout == Layout::q8;
}

// Activation rows, prepared for multiplication. For q8: code = round(value / scale), and
// offset = -128 * (sum of the block's codes), which cancels the 128 in the weights' codes.
struct Input {
  const float* values = nullptr;  // [row][k]
  std::ptrdiff_t values_stride = 0;
  const std::int8_t* codes = nullptr;  // [row][k]
  std::ptrdiff_t codes_stride = 0;
  const float* scales = nullptr;          // [row][k / 32]
  const std::int32_t* offsets = nullptr;  // [row][k / 32]
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
  int width = 0;                      // latent + rope, padded to 16 with zeros
  int latent = 0;                     // padded to 16
  const void* const* rows = nullptr;  // [n] cached rows of `width` values
  int n = 0;                          // at most kTileTokens
  float* scratch = nullptr;           // [heads * kTileTokens + heads * width]
};
inline constexpr int kTileTokens = 128;
inline constexpr int kPageKeys = 64;  // index keys that lie side by side

struct Kernels {
  std::string_view name;
  Multiply multiply[kLayouts];  // by Layout; at most kMaxPanels panels
  // code, scale and offset of n values, n a multiple of 32.
  void (*quantize)(const float* values, int n, std::int8_t* codes, float* scales,
                   std::int32_t* offsets);
  void (*rms_norm)(const float* x, const float* weight, int n, float eps, float* out);
  // out[i] = factor * silu(gate[i]) * up[i]
  void (*gate)(const float* gate, const float* up, float factor, int n, float* out);
  void (*attend_f32)(const AttentionTile& tile, const SoftmaxState& state);
  void (*attend_bf16)(const AttentionTile& tile, const SoftmaxState& state);
  // scores[t] = sum over heads of weight[h] * relu(query[h] . key[t]) for the 64 keys of a page;
  // keys [width][64] f32.
  void (*index_f32)(const float* query, const float* weights, int heads, int width,
                    const float* keys, float* scores);
  // The same with codes: keys [width / 4][64][4] u8 = code + 128; scores are multiplied by
  // key_scales; query scales are part of `weights`; offsets[h] = -128 * (sum of query codes).
  void (*index_q8)(const std::int8_t* query, const std::int32_t* offsets, const float* weights,
                   int heads, int width, const std::uint8_t* keys, const float* key_scales,
                   float* scores);
};

const Kernels& scalar_kernels();
#if defined(__x86_64__)
const Kernels& avx2_kernels();    // AVX2, FMA, F16C
const Kernels& avx512_kernels();  // AVX-512 F, BW, VL, DQ, VNNI, BF16
#endif

// "auto", or a set by name. ModelError when it is unknown or this machine lacks it.
const Kernels& choose_kernels(std::string_view name);

}  // namespace corvid::model
