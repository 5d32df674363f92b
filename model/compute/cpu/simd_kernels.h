// The kernels that need no more than a vector of floats, written once for every width of vector.
//
// Included only by the files of the kernel sets. V wraps one instruction set: type F of kLanes
// floats; load, store, set1, zero, add, mul, max, fma(a, b, c) = a * b + c, sum, largest,
// round_even, times_power_of_two(x, n), load_f16 and load_bf16; and how many rows and heads its
// registers hold.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "model/compute/cpu/kernels.h"

namespace corvid::model {

// e^x. 2^r on [-1/2, 1/2] by its Taylor polynomial; relative error below 2e-7.
template <class V>
inline typename V::F exponential(typename V::F x) {
  x = V::min(V::max(x, V::set1(-87.0f)), V::set1(88.0f));
  const auto y = V::mul(x, V::set1(1.44269504f));
  const auto n = V::round_even(y);
  // ln 2 in two parts keeps r exact.
  auto r = V::fma(n, V::set1(-0.693145752f), x);
  r = V::fma(n, V::set1(-1.42860677e-6f), r);
  auto p = V::set1(1.0f / 720);
  p = V::fma(p, r, V::set1(1.0f / 120));
  p = V::fma(p, r, V::set1(1.0f / 24));
  p = V::fma(p, r, V::set1(1.0f / 6));
  p = V::fma(p, r, V::set1(0.5f));
  p = V::fma(p, r, V::set1(1.0f));
  p = V::fma(p, r, V::set1(1.0f));
  return V::times_power_of_two(p, n);
}

// kLanes weights of a panel of one of the types that are plain values.
template <class V, Type type>
inline typename V::F load_weights(const std::byte* panel, std::ptrdiff_t index) {
  if constexpr (type == Type::f32) {
    return V::load(reinterpret_cast<const float*>(panel) + index);
  } else if constexpr (type == Type::f16) {
    return V::load_f16(reinterpret_cast<const std::uint16_t*>(panel) + index);
  } else {
    return V::load_bf16(reinterpret_cast<const std::uint16_t*>(panel) + index);
  }
}

template <class V, Type type, int T, int P>
inline void multiply_tile(const std::byte* const* panels, int k, const float* const* x, float* out,
                          std::ptrdiff_t stride) {
  constexpr int N = kPanelRows / V::kLanes;
  typename V::F sums[T][P][N];
#pragma GCC unroll 64
  for (int i = 0; i < T * P * N; ++i) (&sums[0][0][0])[i] = V::zero();
  for (int j = 0; j < k; ++j) {
#pragma GCC unroll 64
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 64
      for (int n = 0; n < N; ++n) {
        const auto w = load_weights<V, type>(panels[p], j * kPanelRows + n * V::kLanes);
#pragma GCC unroll 64
        for (int t = 0; t < T; ++t) {
          sums[t][p][n] = V::fma(w, V::set1(x[t][j]), sums[t][p][n]);
        }
      }
    }
  }
#pragma GCC unroll 64
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 64
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 64
      for (int n = 0; n < N; ++n) {
        V::store(out + t * stride + p * kPanelRows + n * V::kLanes, sums[t][p][n]);
      }
    }
  }
}

// Rows [i, n_rows) as far as whole tiles go; returns the first row left.
template <class V, Type type, int T, int P>
inline int multiply_tiles(const std::byte* const* panels, int k, const Input& input,
                          const int* rows, int i, int n_rows, float* out, std::ptrdiff_t stride) {
  for (; i + T <= n_rows; i += T) {
    const float* x[T];
    for (int t = 0; t < T; ++t) {
      x[t] = input.values + (rows ? rows[i + t] : i + t) * input.values_stride;
    }
    multiply_tile<V, type, T, P>(panels, k, x, out + i * stride, stride);
  }
  return i;
}

template <class V, Type type>
void multiply_values(const std::byte* const* panels, int n_panels, int k, const Input& input,
                     const int* rows, int n_rows, float* out, std::ptrdiff_t stride) {
  constexpr int T = V::kTileRows;
  if (n_rows == 1 && n_panels == 4) {  // four sums side by side hide the latency of one
    multiply_tiles<V, type, 1, 4>(panels, k, input, rows, 0, 1, out, stride);
    return;
  }
  int p = 0;
  for (; p + 2 <= n_panels; p += 2) {
    float* const to = out + p * kPanelRows;
    int i = multiply_tiles<V, type, T, 2>(panels + p, k, input, rows, 0, n_rows, to, stride);
    if (T > 4) {
      i = multiply_tiles<V, type, 4, 2>(panels + p, k, input, rows, i, n_rows, to, stride);
    }
    multiply_tiles<V, type, 1, 2>(panels + p, k, input, rows, i, n_rows, to, stride);
  }
  if (p == n_panels) return;
  float* const to = out + p * kPanelRows;
  const int i = multiply_tiles<V, type, T, 1>(panels + p, k, input, rows, 0, n_rows, to, stride);
  multiply_tiles<V, type, 1, 1>(panels + p, k, input, rows, i, n_rows, to, stride);
}

template <class V>
float sum(const float* values, std::size_t n) {
  constexpr int kSums = 64 / V::kLanes < 8 ? 64 / V::kLanes : 8;  // independent
  typename V::F sums[kSums];
  for (auto& sum : sums) sum = V::zero();
  for (std::size_t i = 0; i < n; i += kSums * V::kLanes) {
    for (int s = 0; s < kSums; ++s) {
      const float* const at = values + i + s * V::kLanes;
      if (s * V::kLanes % 16 == 0) __builtin_prefetch(at + kFetchAhead / sizeof(float));
      sums[s] = V::add(sums[s], V::load(at));
    }
  }
  for (int s = 1; s < kSums; ++s) sums[0] = V::add(sums[0], sums[s]);
  return V::sum(sums[0]);
}

template <class V>
void rms_norm(const float* x, const float* weight, int n, float eps, float* out) {
  auto squares = V::zero();
  float rest = 0;
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    const auto v = V::load(x + i);
    squares = V::fma(v, v, squares);
  }
  for (int j = i; j < n; ++j) rest += x[j] * x[j];
  const float factor = 1 / __builtin_sqrtf((V::sum(squares) + rest) / n + eps);
  const auto wide = V::set1(factor);
  for (i = 0; i + V::kLanes <= n; i += V::kLanes) {
    V::store(out + i, V::mul(V::mul(V::load(x + i), wide), V::load(weight + i)));
  }
  for (; i < n; ++i) out[i] = x[i] * factor * weight[i];
}

template <class V>
void gate(const float* gate, const float* up, float factor, int n, float* out) {
  const auto one = V::set1(1.0f), wide = V::set1(factor);
  int i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    const auto g = V::load(gate + i);
    const auto silu = V::div(g, V::add(one, exponential<V>(V::mul(g, V::set1(-1.0f)))));
    V::store(out + i, V::mul(V::mul(wide, silu), V::load(up + i)));
  }
  for (; i < n; ++i) out[i] = factor * (gate[i] / (1 + __builtin_expf(-gate[i]))) * up[i];
}

template <class V, class T>
inline typename V::F load_cached(const void* row, int i) {
  if constexpr (sizeof(T) == 4) {
    return V::load(static_cast<const float*>(row) + i);
  } else {
    return V::load_f16(static_cast<const std::uint16_t*>(row) + i);
  }
}

// scores[h][t] for H heads and K tokens; no sum leaves the registers before it is complete. K rows
// from `ahead` on, if any, are on their way from memory meanwhile.
template <class V, class T, int H, int K>
inline void score_block(const AttentionTile& tile, int h, int t, const void* const* ahead,
                        float* scores) {
  typename V::F sums[H][K];
#pragma GCC unroll 64
  for (int i = 0; i < H * K; ++i) (&sums[0][0])[i] = V::zero();
  for (int i = 0; i < tile.width; i += V::kLanes) {
    typename V::F q[H];
#pragma GCC unroll 64
    for (int a = 0; a < H; ++a) q[a] = V::load(tile.query + std::ptrdiff_t{h + a} * tile.width + i);
#pragma GCC unroll 64
    for (int b = 0; b < K; ++b) {
      if (ahead) __builtin_prefetch(static_cast<const T*>(ahead[b]) + i, 0, 2);
      const auto c = load_cached<V, T>(tile.rows[t + b], i);
#pragma GCC unroll 64
      for (int a = 0; a < H; ++a) sums[a][b] = V::fma(q[a], c, sums[a][b]);
    }
  }
#pragma GCC unroll 64
  for (int a = 0; a < H; ++a) {
#pragma GCC unroll 64
    for (int b = 0; b < K; ++b) scores[(h + a) * kTileTokens + t + b] = V::sum(sums[a][b]);
  }
}

// The rows ahead are shared out among all heads, so that memory never has to wait for sums, nor
// they for it.
template <class V, class T, int H>
inline void score_heads(const AttentionTile& tile, int h, float* scores) {
  constexpr int K = 4;
  const int groups = (tile.heads + V::kScoreHeads - 1) / V::kScoreHeads;
  int t = 0;
  for (; t + K <= tile.n; t += K) {
    const bool fetch = t + K <= tile.n_ahead && t / K % groups == h / V::kScoreHeads;
    score_block<V, T, H, K>(tile, h, t, fetch ? tile.ahead + t : nullptr, scores);
  }
  for (; t < tile.n; ++t) score_block<V, T, H, 1>(tile, h, t, nullptr, scores);
}

template <class V>
float soften(float* scores, int n, float* largest, float* sum) {
  for (int t = n; t % kPanelRows != 0; ++t) scores[t] = -std::numeric_limits<float>::infinity();
  auto wide = V::load(scores);
  for (int t = V::kLanes; t < n; t += V::kLanes) wide = V::max(wide, V::load(scores + t));
  const float before = *largest, own = V::largest(wide);
  *largest = own > before ? own : before;
  auto weights = V::zero();
  for (int t = 0; t < n; t += V::kLanes) {
    const auto p = exponential<V>(V::sub(V::load(scores + t), V::set1(*largest)));
    V::store(scores + t, p);
    if (t + V::kLanes <= n) weights = V::add(weights, p);
  }
  float total = V::sum(weights);
  for (int t = n / V::kLanes * V::kLanes; t < n; ++t) total += scores[t];
  for (int t = n; t % kPanelRows != 0; ++t) scores[t] = 0;
  const float shrink = __builtin_expf(before - *largest);
  *sum = *sum * shrink + total;
  return shrink;
}

// weighted[h] = weighted[h] * shrink[h] + sum of weight * latent, for H heads and two vectors.
template <class V, class T, int H>
inline void weigh_heads(const AttentionTile& tile, const SoftmaxState& state, int h,
                        const float* scores, const float* shrink) {
  const auto columns = [&]<int N>(int i, std::integral_constant<int, N>)
      __attribute__((always_inline)) {
    typename V::F sums[H][N];
    float* const out = state.weighted + std::ptrdiff_t{h} * tile.latent + i;
#pragma GCC unroll 64
    for (int a = 0; a < H; ++a) {
#pragma GCC unroll 64
      for (int n = 0; n < N; ++n) {
        sums[a][n] = V::mul(V::load(out + a * tile.latent + n * V::kLanes), V::set1(shrink[h + a]));
      }
    }
    for (int t = 0; t < tile.n; ++t) {
      typename V::F c[N];
#pragma GCC unroll 64
      for (int n = 0; n < N; ++n) c[n] = load_cached<V, T>(tile.rows[t], i + n * V::kLanes);
#pragma GCC unroll 64
      for (int a = 0; a < H; ++a) {
        const auto p = V::set1(scores[(h + a) * kTileTokens + t]);
#pragma GCC unroll 64
        for (int n = 0; n < N; ++n) sums[a][n] = V::fma(p, c[n], sums[a][n]);
      }
    }
#pragma GCC unroll 64
    for (int a = 0; a < H; ++a) {
#pragma GCC unroll 64
      for (int n = 0; n < N; ++n) V::store(out + a * tile.latent + n * V::kLanes, sums[a][n]);
    }
  };
  int i = 0;
  for (; i + 2 * V::kLanes <= tile.latent; i += 2 * V::kLanes) {
    columns(i, std::integral_constant<int, 2>{});
  }
  for (; i < tile.latent; i += V::kLanes) columns(i, std::integral_constant<int, 1>{});
}

template <class V, class T>
void attend(const AttentionTile& tile, const SoftmaxState& state) {
  float* const scores = tile.scratch;                       // [heads][kTileTokens]
  float* const shrink = scores + tile.heads * kTileTokens;  // [heads]
  constexpr int H = V::kScoreHeads, W = V::kWeighHeads;
  int h = 0;
  for (; h + H <= tile.heads; h += H) score_heads<V, T, H>(tile, h, scores);
  for (; h < tile.heads; ++h) score_heads<V, T, 1>(tile, h, scores);
  for (h = 0; h < tile.heads; ++h) {
    shrink[h] = soften<V>(scores + h * kTileTokens, tile.n, state.largest + h, state.sum + h);
  }
  for (h = 0; h + W <= tile.heads; h += W) weigh_heads<V, T, W>(tile, state, h, scores, shrink);
  for (; h + 2 <= tile.heads; h += 2) weigh_heads<V, T, 2>(tile, state, h, scores, shrink);
  for (; h < tile.heads; ++h) weigh_heads<V, T, 1>(tile, state, h, scores, shrink);
}

template <class V>
void index_f32(const float* query, const float* weights, int heads, int width, const float* keys,
               float* scores) {
  constexpr int N = 2, L = V::kLanes;
  for (int t = 0; t < kPageKeys; t += N * L) {
    typename V::F score[N] = {V::zero(), V::zero()};
    int h = 0;
    const auto some = [&]<int H>(std::integral_constant<int, H>) __attribute__((always_inline)) {
      typename V::F dots[H][N];
#pragma GCC unroll 64
      for (int a = 0; a < H * N; ++a) (&dots[0][0])[a] = V::zero();
      for (int i = 0; i < width; ++i) {
        const auto k0 = V::load(keys + i * kPageKeys + t);
        const auto k1 = V::load(keys + i * kPageKeys + t + L);
#pragma GCC unroll 64
        for (int a = 0; a < H; ++a) {
          const auto q = V::set1(query[(h + a) * width + i]);
          dots[a][0] = V::fma(q, k0, dots[a][0]);
          dots[a][1] = V::fma(q, k1, dots[a][1]);
        }
      }
#pragma GCC unroll 64
      for (int a = 0; a < H; ++a) {
        const auto w = V::set1(weights[h + a]);
        score[0] = V::fma(w, V::max(dots[a][0], V::zero()), score[0]);
        score[1] = V::fma(w, V::max(dots[a][1], V::zero()), score[1]);
      }
      h += H;
    };
    while (h + 4 <= heads) some(std::integral_constant<int, 4>{});
    while (h < heads) some(std::integral_constant<int, 1>{});
    V::store(scores + t, score[0]);
    V::store(scores + t + L, score[1]);
  }
}

}  // namespace corvid::model
