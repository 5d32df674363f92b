// store and attend: what rows leave in the cache, and latent attention over it.
//
// Attention runs in the absorbed form: k_b is folded into the queries, so that all heads read the
// same cached row, once per tile of tokens; v_b is applied to the weighted sum of latents.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include "model/compute/cpu/cpu_backend.h"

namespace corvid::model {

void CpuBackend::store(const KvRows& rows) {
  const KvShape& shape = pages_.shape();
  const int n = rows.latent.rows;
  constexpr int kRows = 8;
  team_.each((n + kRows - 1) / kRows, [&](int piece, int thread) {
    scratch_[thread].reserve(shape.latent + shape.rope + shape.index);
    float* latent = scratch_[thread].data();
    float* key = latent + shape.latent + shape.rope;
    for (int i = piece * kRows; i < std::min(n, (piece + 1) * kRows); ++i) {
      const int page = batch_[i].pages[batch_[i].position / kPageTokens];
      const int slot = batch_[i].position % kPageTokens;
      const float* in = row(rows.latent, i);
      normalize(in, rows.latent_norm, shape.latent, latent);
      std::memcpy(latent + shape.latent, in + shape.latent, shape.rope * sizeof(float));
      turn(latent + shape.latent, rows.rope, i, RopePairs::interleaved);
      pages_.put_row(page, rows.layer, slot, latent);
      if (shape.index == 0) continue;
      normalize(row(rows.index_key, i), rows.index_norm, shape.index, key);
      turn(key, rows.rope, i, rows.index_pairs);
      if (precision_ == Precision::fast) hadamard(key, shape.index);
      pages_.put_key(page, rows.layer, slot, key);
    }
  });
}

void CpuBackend::attend(const LatentAttention& attention) {
  const PackedMatrix& k_b = packed(attention.k_b);
  const PackedMatrix& v_b = packed(attention.v_b);
  const int n = attention.query.rows, heads = k_b.count(), width = pages_.width();
  const int value = v_b.rows(), latent = v_b.columns();
  const int latent_padded = k_b.panels() * kPanelRows;
  assert(attention.out.width == heads * value && latent == pages_.shape().latent);

  prepare_attention(attention);
  // Fold k_b into the queries. A padded panel spills into the rotated part, which is written last.
  constexpr int kRows = 64;
  const int blocks = (n + kRows - 1) / kRows;
  team_.each(heads * blocks, [&](int piece, int) {
    const int h = piece / blocks, first = piece % blocks * kRows;
    const int n_rows = std::min(kRows, n - first);
    float* out = absorbed_.data() + (first * std::ptrdiff_t{heads} + h) * width;
    multiply(k_b, h, 0, k_b.panels(), input_.input(first, h * k_b.columns()), nullptr, n_rows, out,
             std::ptrdiff_t{heads} * width);
    const int nope = k_b.columns(), rope = attention.rope.dims;
    for (int i = 0; i < n_rows; ++i, out += std::ptrdiff_t{heads} * width) {
      float* pe = out + latent;
      std::memcpy(pe, row(attention.query, first + i) + h * (nope + rope) + nope,
                  rope * sizeof(float));
      turn(pe, attention.rope, first + i, RopePairs::interleaved);
      for (int j = 0; j < rope; ++j) pe[j] *= attention.scale;
      std::fill(pe + rope, out + width, 0.0f);
    }
  });
  attend_tiles(attention);
  count(k_b, heads, std::int64_t{n} * heads);
  count(v_b, heads, std::int64_t{n} * heads);

  const bool codes = takes_codes(v_b.layout());
  hidden_.shape(n, heads * latent, !codes, codes);
  team_.each(n, [&](int i, int) {
    merge_ranges(i, heads);
    for (int h = 0; h < heads; ++h) {
      const std::ptrdiff_t state = (i * std::ptrdiff_t{ranges_}) * heads + h;
      float* u = weighted_.data() + state * latent_padded;
      for (int j = 0; j < latent; ++j) u[j] /= sum_[state];
      if (codes) hidden_.encode(kernels_, i, h * latent, latent, u);
      if (!codes) std::memcpy(hidden_.values(i) + h * latent, u, latent * sizeof(float));
    }
  });
  team_.each(heads * blocks, [&](int piece, int thread) {
    const int h = piece / blocks, first = piece % blocks * kRows;
    const int n_rows = std::min(kRows, n - first);
    const int padded = v_b.panels() * kPanelRows;
    scratch_[thread].reserve(static_cast<std::size_t>(kRows) * padded);
    float* tile = scratch_[thread].data();
    multiply(v_b, h, 0, v_b.panels(), hidden_.input(first, h * latent), nullptr, n_rows, tile,
             padded);
    for (int i = 0; i < n_rows; ++i) {
      std::memcpy(row(attention.out, first + i) + h * value, tile + i * padded,
                  value * sizeof(float));
    }
  });
}

// The unrotated part of the queries, scaled, ready for k_b.
void CpuBackend::prepare_attention(const LatentAttention& attention) {
  const PackedMatrix& k_b = packed(attention.k_b);
  const int n = attention.query.rows, heads = k_b.count(), nope = k_b.columns();
  const int head_width = nope + attention.rope.dims;
  assert(attention.query.width == heads * head_width);
  const bool codes = takes_codes(k_b.layout());
  input_.shape(n, heads * nope, !codes, codes);
  absorbed_.reserve(static_cast<std::size_t>(n) * heads * pages_.width() + kPanelRows);
  constexpr int kRows = 8;
  team_.each((n + kRows - 1) / kRows, [&](int piece, int thread) {
    scratch_[thread].reserve(nope);
    for (int i = piece * kRows; i < std::min(n, (piece + 1) * kRows); ++i) {
      for (int h = 0; h < heads; ++h) {
        const float* in = row(attention.query, i) + h * head_width;
        float* out = codes ? scratch_[thread].data() : input_.values(i) + h * nope;
        for (int j = 0; j < nope; ++j) out[j] = in[j] * attention.scale;
        if (codes) input_.encode(kernels_, i, h * nope, nope, out);
      }
    }
  });
}

// The running softmax of every row over its tokens. Few rows: their tokens are split into ranges,
// one state each, so that every thread has work and each cached row is still read once.
void CpuBackend::attend_tiles(const LatentAttention& attention) {
  const int n = attention.query.rows, heads = packed(attention.k_b).count();
  const int width = pages_.width();
  const int latent = packed(attention.k_b).panels() * kPanelRows;
  ranges_ = n >= 2 * team_.size() ? 1 : team_.size();
  const std::size_t states = static_cast<std::size_t>(n) * ranges_ * heads;
  weighted_stride_ = latent;
  weighted_.reserve(states * latent);
  largest_.reserve(states);
  sum_.reserve(states);
  team_.each(n * ranges_, [&](int piece, int thread) {
    const int i = piece / ranges_, range = piece % ranges_;
    const Row& row = batch_[i];
    const bool all = !attention.selected || kept_count_[i] < 0;
    const int* kept = all ? nullptr : kept_.data() + i * std::ptrdiff_t{kept_stride_};
    const int n_tokens = all ? row.position + 1 : kept_count_[i];
    const int begin = static_cast<int>(std::int64_t{n_tokens} * range / ranges_);
    const int end = static_cast<int>(std::int64_t{n_tokens} * (range + 1) / ranges_);
    const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(piece) * heads;
    const SoftmaxState state{largest_.data() + first, sum_.data() + first,
                             weighted_.data() + first * latent};
    std::fill_n(state.largest, heads, -std::numeric_limits<float>::infinity());
    std::fill_n(state.sum, heads, 0.0f);
    std::fill_n(state.weighted, static_cast<std::size_t>(heads) * latent, 0.0f);
    scratch_[thread].reserve(static_cast<std::size_t>(heads) * (kTileTokens + width));
    const void* rows[kTileTokens];
    AttentionTile tile{.query = absorbed_.data() + i * std::ptrdiff_t{heads} * width,
                       .heads = heads,
                       .width = width,
                       .latent = latent,
                       .rows = rows,
                       .scratch = scratch_[thread].data()};
    for (int t = begin; t < end; t += kTileTokens) {
      tile.n = std::min(kTileTokens, end - t);
      for (int j = 0; j < tile.n; ++j) {
        const int position = all ? t + j : kept[t + j];
        rows[j] =
            pages_.row(row.pages[position / kPageTokens], attention.layer, position % kPageTokens);
      }
      (precision_ == Precision::exact ? kernels_.attend_f32 : kernels_.attend_bf16)(tile, state);
    }
  });
  for (int i = 0; i < n; ++i) {
    const bool all = !attention.selected || kept_count_[i] < 0;
    const std::int64_t tokens = all ? batch_[i].position + 1 : kept_count_[i];
    traffic_.cache_bytes += tokens * pages_.row_bytes();
    traffic_.operations += 2 * tokens * heads * (width + latent);
  }
}

// Sums the states of a row's ranges into the first, in order.
void CpuBackend::merge_ranges(int row, int heads) {
  if (ranges_ == 1) return;
  const std::ptrdiff_t latent = weighted_stride_;
  const std::ptrdiff_t first = row * std::ptrdiff_t{ranges_} * heads;
  for (int h = 0; h < heads; ++h) {
    float largest = largest_[first + h];
    for (int r = 1; r < ranges_; ++r) largest = std::max(largest, largest_[first + r * heads + h]);
    for (int r = 0; r < ranges_; ++r) {
      const std::ptrdiff_t from = first + r * heads + h;
      if (std::isinf(largest_[from])) continue;  // no tokens
      const float factor = std::exp(largest_[from] - largest);
      const float* part = weighted_.data() + from * latent;
      float* total = weighted_.data() + (first + h) * latent;
      sum_[first + h] = factor * sum_[from] + (r > 0 ? sum_[first + h] : 0);
      for (int j = 0; j < latent; ++j) total[j] = factor * part[j] + (r > 0 ? total[j] : 0);
    }
  }
}

}  // namespace corvid::model
