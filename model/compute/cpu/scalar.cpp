// The reference: what each kernel means, in plain loops.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "model/compute/cpu/kernels.h"
#include "model/files/quant.h"

namespace corvid::model {
namespace {

template <Type type>
float value_at(const std::byte* panel, std::size_t index) {
  if constexpr (type == Type::f32) {
    float value;
    std::memcpy(&value, panel + 4 * index, 4);
    return value;
  } else {
    std::uint16_t half;
    std::memcpy(&half, panel + 2 * index, 2);
    return type == Type::f16 ? f16_to_f32(half) : bf16_to_f32(half);
  }
}

template <Type type>
void multiply_values(const std::byte* const* panels, int n_panels, int k, const Input& input,
                     const int* rows, int n_rows, float* out, std::ptrdiff_t stride) {
  for (int i = 0; i < n_rows; ++i) {
    const float* x = input.values + (rows ? rows[i] : i) * input.values_stride;
    for (int p = 0; p < n_panels; ++p) {
      float sums[kPanelRows] = {};
      for (int j = 0; j < k; ++j) {
        for (int r = 0; r < kPanelRows; ++r) {
          sums[r] += value_at<type>(panels[p], j * kPanelRows + r) * x[j];
        }
      }
      std::copy_n(sums, kPanelRows, out + i * stride + p * kPanelRows);
    }
  }
}

// The code of column j (of 32) of a row, from the planes of a block.
template <Type type>
int code_at(const std::byte* block, int row, int j) {
  constexpr int bits = panel_format(type).code.bits;
  const auto* planes = reinterpret_cast<const std::uint8_t*>(block);
  const int four = j / 4, at = row * 4 + j % 4;
  if constexpr (type == Type::iq2_xxs) {
    const std::uint64_t values = iq2_xxs_grid()[planes[j / 8 * kPanelRows + row]];
    std::uint32_t word;
    std::memcpy(&word, planes + kPlane + 4 * row, 4);
    const std::uint32_t seven = word >> (7 * (j / 8)) & 127;
    const std::uint32_t signs = seven | (std::popcount(seven) & 1) << 7;
    const int value = static_cast<int>(values >> (8 * (j % 8)) & 255);
    return signs >> (j % 8) & 1 ? 128 - value : 128 + value;
  } else if constexpr (bits == 8) {
    return planes[four * kPlane + at];
  } else {
    int code = 0, shift = 0;
    if constexpr (bits >= 4) {
      code = planes[four % 4 * kPlane + at] >> (four / 4 * 4) & 15;
      shift = 4;
      planes += 4 * kPlane;
    }
    if constexpr (bits % 4 >= 2) {
      code |= (planes[four / 4 * kPlane + at] >> (four % 4 * 2) & 3) << shift;
      shift += 2;
      planes += 2 * kPlane;
    }
    if constexpr (bits % 2 == 1) code |= (planes[at] >> four & 1) << shift;
    return code;
  }
}

template <Type type>
int level_at(const std::byte* block, int row, int j) {
  constexpr Table table = panel_format(type).code.table;
  const int code = code_at<type>(block, row, j);
  return table == Table::none ? code : kLevels[static_cast<int>(table)][code];
}

struct ScaleAndMinimum {
  float scale, minimum;
};

float half_at(const std::byte* halves, int i) {
  std::uint16_t half;
  std::memcpy(&half, halves + 2 * i, 2);
  return f16_to_f32(half);
}

// Of group g of a chunk's columns; `block` is the block that holds them.
template <Type type>
ScaleAndMinimum scale_at(const std::byte* head, const std::byte* block, int g, int row) {
  constexpr PanelFormat f = panel_format(type);
  constexpr int kHalves = 2 * kPanelRows;
  const int i = g * kPanelRows + row;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(head);
  float scale = 0, minimum = 0;
  switch (f.scales) {
    case Scales::half:
      scale = half_at(head, i);
      break;
    case Scales::half_and_minimum:
      scale = half_at(head, i);
      minimum = half_at(head, f.groups() * kPanelRows + i);
      break;
    case Scales::exponent:
      scale = std::ldexp(1.0f, bytes[i] - 128);
      break;
    case Scales::integer:
      scale = half_at(head, row) * static_cast<std::int8_t>(bytes[kHalves + i]);
      break;
    case Scales::with_minimum:
      scale = half_at(head, row) * bytes[2 * kHalves + i];
      minimum = half_at(head, kPanelRows + row) * bytes[2 * kHalves + f.groups() * kPanelRows + i];
      break;
    case Scales::nibbles:
      scale = half_at(head, row) * (bytes[2 * kHalves + i] & 15);
      minimum = half_at(head, kPanelRows + row) * (bytes[2 * kHalves + i] >> 4);
      break;
    case Scales::codebook: {
      std::uint32_t word;
      std::memcpy(&word, block + kPlane + 4 * row, 4);
      scale = half_at(head, row) * (static_cast<float>(2 * (word >> 28) + 1) / 8);
      break;
    }
  }
  if (f.has_minimums() && !f.stores_minimums()) minimum = scale * f.code.zero;
  return {scale, minimum};
}

template <Type type>
void multiply_codes(const std::byte* const* panels, int n_panels, int k, const Input& input,
                    const int* rows, int n_rows, float* out, std::ptrdiff_t stride) {
  constexpr PanelFormat f = panel_format(type);
  constexpr int kParts = kBlock / f.group;  // of a block with a scale of their own
  for (int i = 0; i < n_rows * n_panels * kPanelRows; ++i) {
    const int n = i / kPanelRows % n_panels, r = i % kPanelRows, t = i / kPanelRows / n_panels;
    const std::ptrdiff_t row = rows ? rows[t] : t;
    float sum = 0;
    for (int b = 0; b < k / kBlock; ++b) {
      const std::byte* head = panels[n] + b / kChunkBlocks * f.chunk_bytes();
      const std::byte* block = head + f.head_bytes() + b % kChunkBlocks * f.block_bytes();
      const std::int8_t* codes = input.codes + row * input.codes_stride + b * kBlock;
      const InputBlock& in = input.blocks[row * input.blocks_stride + b];
      for (int part = 0; part < kParts; ++part) {
        std::int32_t dot = f.has_minimums() ? 0 : in.offset;
        for (int j = part * f.group; j < (part + 1) * f.group; ++j) {
          dot += level_at<type>(block, r, j) * codes[j];
        }
        const auto [scale, minimum] =
            scale_at<type>(head, block, b % kChunkBlocks * kParts + part, r);
        sum += scale * in.scale * static_cast<float>(dot);
        if (f.has_minimums()) sum -= minimum * (kParts == 1 ? in.sum : in.half_sum[part]);
      }
    }
    out[t * stride + n * kPanelRows + r] = sum;
  }
}

void quantize(const float* values, int n, std::int8_t* codes, InputBlock* blocks) {
  for (int b = 0; b < n / kBlock; ++b, values += kBlock, codes += kBlock) {
    float largest = 0;
    for (int i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(values[i]));
    const float inverse = largest > 0 ? 127 / largest : 0;
    std::int32_t sums[2] = {};
    for (int i = 0; i < kBlock; ++i) {
      codes[i] = static_cast<std::int8_t>(std::nearbyint(values[i] * inverse));
      sums[i / 16] += codes[i];
    }
    const float scale = largest / 127;
    blocks[b] = {scale,
                 -128 * (sums[0] + sums[1]),
                 scale * (sums[0] + sums[1]),
                 {scale * sums[0], scale * sums[1]}};
  }
}

float sum(const float* values, std::size_t n) {
  float sums[16] = {};
  for (std::size_t i = 0; i < n; i += 16) {
    for (int lane = 0; lane < 16; ++lane) sums[lane] += values[i + lane];
  }
  return std::accumulate(sums, sums + 16, 0.0f);
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
    return f16_to_f32(static_cast<const std::uint16_t*>(row)[i]);
  }
}

float soften(float* scores, int n, float* largest, float* sum) {
  const float before = *largest;
  for (int t = 0; t < n; ++t) *largest = std::max(*largest, scores[t]);
  const float shrink = std::exp(before - *largest);
  *sum *= shrink;
  for (int t = 0; t < n; ++t) *sum += scores[t] = std::exp(scores[t] - *largest);
  for (int t = n; t % 16 != 0; ++t) scores[t] = 0;
  return shrink;
}

template <class T>
void attend(const AttentionTile& tile, const SoftmaxState& state) {
  for (int h = 0; h < tile.heads; ++h) {
    const float* query = tile.query + static_cast<std::ptrdiff_t>(h) * tile.width;
    float* weighted = state.weighted + static_cast<std::ptrdiff_t>(h) * tile.latent;
    float* scores = tile.scratch;
    for (int t = 0; t < tile.n; ++t) {
      scores[t] = 0;
      for (int i = 0; i < tile.width; ++i) scores[t] += query[i] * load<T>(tile.rows[t], i);
    }
    const float shrink = soften(scores, tile.n, state.largest + h, state.sum + h);
    for (int i = 0; i < tile.latent; ++i) weighted[i] *= shrink;
    for (int t = 0; t < tile.n; ++t) {
      for (int i = 0; i < tile.latent; ++i) weighted[i] += scores[t] * load<T>(tile.rows[t], i);
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
              const std::uint8_t*, float* scores) {
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
    .multiply = multiply_table<[]<Type type>() -> Multiply {
      if constexpr (is_quantized(type)) {
        return multiply_codes<type>;
      } else {
        return multiply_values<type>;
      }
    }>(),
    .quantize = quantize,
    .sum = sum,
    .rms_norm = rms_norm,
    .gate = gate,
    .attend_f32 = attend<float>,
    .attend_f16 = attend<std::uint16_t>,
    .soften = soften,
    .index_f32 = index_f32,
    .index_q8 = index_q8,
};

}  // namespace

const Kernels& scalar_kernels() {
  return kScalar;
}

}  // namespace corvid::model
