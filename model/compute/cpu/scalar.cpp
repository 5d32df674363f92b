// The reference: what each kernel means, in plain loops.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/compute/cpu/kernels.h"
#include "model/files/quant.h"

namespace corvid::model {
namespace {

template <Layout layout>
float value_at(const std::byte* panel, std::size_t index) {
  if constexpr (layout == Layout::f32) {
    float value;
    std::memcpy(&value, panel + 4 * index, 4);
    return value;
  } else {
    std::uint16_t half;
    std::memcpy(&half, panel + 2 * index, 2);
    return layout == Layout::f16 ? f16_to_f32(half) : bf16_to_f32(half);
  }
}

template <Layout layout>
void multiply_values(const std::byte* const* panels, int n_panels, int k, const Input& input,
                     const int* rows, int n_rows, float* out, std::ptrdiff_t stride) {
  for (int i = 0; i < n_rows; ++i) {
    const float* x = input.values + (rows ? rows[i] : i) * input.values_stride;
    for (int p = 0; p < n_panels; ++p) {
      float sums[kPanelRows] = {};
      for (int j = 0; j < k; ++j) {
        for (int r = 0; r < kPanelRows; ++r) {
          sums[r] += value_at<layout>(panels[p], j * kPanelRows + r) * x[j];
        }
      }
      std::copy_n(sums, kPanelRows, out + i * stride + p * kPanelRows);
    }
  }
}

void multiply_q8(const std::byte* const* panels, int n_panels, int k, const Input& input,
                 const int* rows, int n_rows, float* out, std::ptrdiff_t stride) {
  constexpr std::size_t kScaleBytes = 2 * kPanelRows;
  constexpr std::size_t kBlockBytes = kScaleBytes + kBlock * kPanelRows;
  for (int i = 0; i < n_rows; ++i) {
    const std::ptrdiff_t row = rows ? rows[i] : i;
    for (int p = 0; p < n_panels; ++p) {
      float sums[kPanelRows] = {};
      for (int b = 0; b < k / kBlock; ++b) {
        const std::byte* block = panels[p] + b * kBlockBytes;
        const auto* weights = reinterpret_cast<const std::uint8_t*>(block + kScaleBytes);
        const std::int8_t* codes = input.codes + row * input.codes_stride + b * kBlock;
        const std::ptrdiff_t at = row * input.blocks_stride + b;
        for (int r = 0; r < kPanelRows; ++r) {
          std::int32_t dot = input.offsets[at];
          for (int j = 0; j < kBlock; ++j) {
            dot += weights[(j / 4 * kPanelRows + r) * 4 + j % 4] * codes[j];
          }
          std::uint16_t half;
          std::memcpy(&half, block + 2 * r, 2);
          sums[r] += f16_to_f32(half) * input.scales[at] * static_cast<float>(dot);
        }
      }
      std::copy_n(sums, kPanelRows, out + i * stride + p * kPanelRows);
    }
  }
}

void quantize(const float* values, int n, std::int8_t* codes, float* scales,
              std::int32_t* offsets) {
  for (int b = 0; b < n / kBlock; ++b, values += kBlock, codes += kBlock) {
    float largest = 0;
    for (int i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(values[i]));
    const float inverse = largest > 0 ? 127 / largest : 0;
    std::int32_t sum = 0;
    for (int i = 0; i < kBlock; ++i) {
      codes[i] = static_cast<std::int8_t>(std::nearbyint(values[i] * inverse));
      sum += codes[i];
    }
    scales[b] = largest / 127;
    offsets[b] = -128 * sum;
  }
}

void rms_norm(const float* x, const float* weight, int n, float eps, float* out) {
  float squares = 0;
  for (int i = 0; i < n; ++i) squares += x[i] * x[i];
  const float factor = 1 / std::sqrt(squares / n + eps);
  for (int i = 0; i < n; ++i) out[i] = x[i] * factor * weight[i];
}

void gate(const float* gate, const float* up, float factor, int n, float* out) {
  for (int i = 0; i < n; ++i) out[i] = factor * (gate[i] / (1 + std::exp(-gate[i]))) * up[i];
}

template <class T>
float load(const void* row, int i) {
  if constexpr (sizeof(T) == 4) {
    return static_cast<const float*>(row)[i];
  } else {
    return bf16_to_f32(static_cast<const std::uint16_t*>(row)[i]);
  }
}

template <class T>
void attend(const AttentionTile& tile, const SoftmaxState& state) {
  for (int h = 0; h < tile.heads; ++h) {
    const float* query = tile.query + static_cast<std::ptrdiff_t>(h) * tile.width;
    float* weighted = state.weighted + static_cast<std::ptrdiff_t>(h) * tile.latent;
    float* scores = tile.scratch;
    float largest = state.largest[h];
    for (int t = 0; t < tile.n; ++t) {
      scores[t] = 0;
      for (int i = 0; i < tile.width; ++i) scores[t] += query[i] * load<T>(tile.rows[t], i);
      largest = std::max(largest, scores[t]);
    }
    const float shrink = std::exp(state.largest[h] - largest);
    state.largest[h] = largest;
    state.sum[h] *= shrink;
    for (int i = 0; i < tile.latent; ++i) weighted[i] *= shrink;
    for (int t = 0; t < tile.n; ++t) {
      const float p = std::exp(scores[t] - largest);
      state.sum[h] += p;
      for (int i = 0; i < tile.latent; ++i) weighted[i] += p * load<T>(tile.rows[t], i);
    }
  }
}

void index_f32(const float* query, const float* weights, int heads, int width, const float* keys,
               float* scores) {
  for (int t = 0; t < 64; ++t) {
    float score = 0;
    for (int h = 0; h < heads; ++h) {
      float dot = 0;
      for (int i = 0; i < width; ++i) dot += query[h * width + i] * keys[i * 64 + t];
      score += weights[h] * std::max(dot, 0.0f);
    }
    scores[t] = score;
  }
}

void index_q8(const std::int8_t* query, const std::int32_t* offsets, const float* weights,
              int heads, int width, const std::uint8_t* keys, const float* key_scales,
              float* scores) {
  for (int t = 0; t < 64; ++t) {
    float score = 0;
    for (int h = 0; h < heads; ++h) {
      std::int32_t dot = offsets[h];
      for (int i = 0; i < width; ++i) {
        dot += query[h * width + i] * keys[(i / 4 * 64 + t) * 4 + i % 4];
      }
      score += weights[h] * static_cast<float>(std::max(dot, 0));
    }
    scores[t] = score * key_scales[t];
  }
}

constexpr Kernels kScalar = {
    .name = "scalar",
    .multiply = {multiply_values<Layout::f32>, multiply_values<Layout::f16>,
                 multiply_values<Layout::bf16>, multiply_q8},
    .quantize = quantize,
    .rms_norm = rms_norm,
    .gate = gate,
    .attend_f32 = attend<float>,
    .attend_bf16 = attend<std::uint16_t>,
    .index_f32 = index_f32,
    .index_q8 = index_q8,
};

}  // namespace

const Kernels& scalar_kernels() {
  return kScalar;
}

}  // namespace corvid::model
