// store and attend: what rows leave in the cache, and latent attention over it.
//
// Here is the absorbed form: k_b is folded into the queries, so that all heads read the same cached
// row, once per tile of tokens; v_b is applied to the weighted sum of latents. Many rows that read
// the same tokens take the expanded form (cpu_expanded.cpp) where it costs less. Rows of the
// absorbed form are counted by slots: slot s is row slots_[s] of the batch. Scores are sensitive to
// what k_b is given, and both matrices are small: their inputs are codes in two parts, of 8 bits
// each, the second of slot s being row n_slots() + s.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "model/compute/cpu/cpu_backend.h"

namespace corvid::model {
namespace {

constexpr int kSegmentTokens = 256;
constexpr int kRows = 64;  // that a piece multiplies with one head's matrix

std::size_t state_size(int heads, std::size_t latent) {
  return heads * (2 + latent);
}

}  // namespace

void CpuBackend::store(const KvRows& rows) {
  const KvShape& shape = pages_.shape();
  const int n = rows.latent.rows;
  constexpr int kFew = 8;
  team_.each((n + kFew - 1) / kFew, [&](int piece, int thread) {
    scratch_[thread].reserve(shape.latent + shape.rope + shape.index);
    float* latent = scratch_[thread].data();
    float* key = latent + shape.latent + shape.rope;
    for (int i = piece * kFew; i < std::min(n, (piece + 1) * kFew); ++i) {
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
      if (!pages_.layout().exact_keys) hadamard(key, shape.index);
      pages_.put_key(page, rows.layer, slot, key);
    }
  });
}

void CpuBackend::attend(const LatentAttention& attention) {
  const PackedMatrix& k_b = packed(attention.k_b);
  const PackedMatrix& v_b = packed(attention.v_b);
  assert(attention.query.width == k_b.count() * (k_b.columns() + attention.rope.dims));
  assert(attention.out.width == k_b.count() * v_b.rows());
  assert(v_b.columns() == pages_.shape().latent && k_b.rows() == pages_.shape().latent);
  slots_.clear();
  for (const RowRange& run : runs_of(attention)) {
    if (expanding_pays(attention, run)) {
      attend_expanded(attention, run);
    } else {
      for (int i = run.first; i < run.first + run.n; ++i) slots_.push_back(i);
    }
  }
  if (slots_.empty()) return;
  fold_queries(attention);
  attend_tiles(attention);
  expand_values(attention);
  const std::int64_t head_rows = std::int64_t(slots_.size()) * k_b.count();
  count(k_b, k_b.count(), head_rows);
  count(v_b, v_b.count(), head_rows);
}

// absorbed_ [slot][heads][width]: k_b times the unrotated part, and beside it the rotated part.
void CpuBackend::fold_queries(const LatentAttention& attention) {
  const PackedMatrix& k_b = packed(attention.k_b);
  const int n = n_slots(), heads = k_b.count(), width = pages_.width();
  const int nope = k_b.columns(), rope = attention.rope.dims;
  const std::ptrdiff_t stride = std::ptrdiff_t{heads} * width;
  const bool codes = is_quantized(k_b.type());
  input_.shape(codes ? 2 * n : n, heads * nope, !codes, codes);
  absorbed_.reserve(n * stride + kPanelRows);
  const int blocks = (n + kRows - 1) / kRows;
  team_.each(heads * blocks, [&](int piece, int thread) {
    const int h = piece / blocks, first = piece % blocks * kRows;
    const int n_rows = std::min(kRows, n - first);
    scratch_[thread].reserve(2 * std::size_t(n_rows) * k_b.panels() * kPanelRows + nope);
    float* const scratch = scratch_[thread].data();
    for (int i = first; i < first + n_rows; ++i) {
      const float* in = row(attention.query, slots_[i]) + h * (nope + rope);
      float* scaled = codes ? scratch : input_.values(i) + h * nope;
      for (int j = 0; j < nope; ++j) scaled[j] = in[j] * attention.scale;
      if (codes) input_.encode_in_two(kernels_, i, n + i, h * nope, nope, scaled);
    }
    float* out = absorbed_.data() + first * stride + h * width;
    multiply_in_two(k_b, h, input_, first, h * nope, n_rows, out, stride, scratch);
    // A padded panel has spilled into the rotated part, which is therefore written last.
    for (int i = 0; i < n_rows; ++i, out += stride) {
      float* pe = out + k_b.rows();
      const int of_batch = slots_[first + i];
      std::memcpy(pe, row(attention.query, of_batch) + h * (nope + rope) + nope,
                  rope * sizeof(float));
      turn(pe, attention.rope, of_batch, RopePairs::interleaved);
      for (int j = 0; j < rope; ++j) pe[j] *= attention.scale;
      std::fill(pe + rope, out + width, 0.0f);
    }
  });
}

// As multiply, with all panels of a matrix; `scratch` has room for both parts of every row.
void CpuBackend::multiply_in_two(const PackedMatrix& m, int matrix, const InputRows& in, int first,
                                 int at, int n_rows, float* out, std::ptrdiff_t stride,
                                 float* scratch) const {
  if (!in.has_codes()) {
    multiply(m, matrix, 0, m.panels(), in.input(first, at), nullptr, n_rows, out, stride);
    return;
  }
  int rows[2 * kRows];
  std::iota(rows, rows + n_rows, first);
  std::iota(rows + n_rows, rows + 2 * n_rows, n_slots() + first);
  const int width = m.panels() * kPanelRows;
  multiply(m, matrix, 0, m.panels(), in.input(0, at), rows, 2 * n_rows, scratch, width);
  const float* rest = scratch + std::ptrdiff_t{n_rows} * width;
  for (int i = 0; i < n_rows; ++i, out += stride, scratch += width, rest += width) {
    for (int c = 0; c < width; ++c) out[c] = scratch[c] + rest[c];
  }
}

void CpuBackend::expand_values(const LatentAttention& attention) {
  const PackedMatrix& v_b = packed(attention.v_b);
  const int n = n_slots(), value = v_b.rows();
  const int padded = v_b.panels() * kPanelRows;
  const bool codes = is_quantized(v_b.type());
  hidden_.shape(codes ? 2 * n : n, v_b.count() * v_b.columns(), !codes, codes);
  const int blocks = (n + kRows - 1) / kRows;
  team_.each(v_b.count() * blocks, [&](int piece, int thread) {
    const int h = piece / blocks, first = piece % blocks * kRows;
    const int n_rows = std::min(kRows, n - first);
    for (int i = first; i < first + n_rows; ++i) finish_sum(attention, i, h);
    scratch_[thread].reserve(3 * static_cast<std::size_t>(n_rows) * padded);
    float* tile = scratch_[thread].data();
    multiply_in_two(v_b, h, hidden_, first, h * v_b.columns(), n_rows, tile, padded,
                    tile + n_rows * padded);
    for (int i = 0; i < n_rows; ++i) {
      std::memcpy(row(attention.out, slots_[first + i]) + h * value, tile + i * padded,
                  value * sizeof(float));
    }
  });
}

// hidden_ [slot][heads * latent]: the weighted sum of latents of one head, ready for v_b.
void CpuBackend::finish_sum(const LatentAttention& attention, int slot, int head) {
  const int heads = packed(attention.k_b).count(), latent = pages_.shape().latent;
  const std::size_t padded = std::size_t(packed(attention.k_b).panels()) * kPanelRows;
  const std::size_t size = state_size(heads, padded);
  float* const state = states_.data() + std::size_t(slot) * segments_ * size;
  for (int s = 1; s < segments_; ++s) merge(heads, head, head + 1, padded, state + s * size, state);
  float* const sum = state + 2 * heads + head * padded;
  const float total = state[heads + head];
  for (int j = 0; j < latent; ++j) sum[j] /= total;
  if (hidden_.has_codes()) {
    hidden_.encode_in_two(kernels_, slot, n_slots() + slot, head * latent, latent, sum);
  } else {
    std::memcpy(hidden_.values(slot) + head * latent, sum, latent * sizeof(float));
  }
}

// The softmax of every row over its tokens, in segments of a fixed size that are merged in order:
// the sum has the same bits however the segments were shared out. Few rows: the segments of a row
// go to different threads and wait side by side. Many rows: a thread merges as it goes.
void CpuBackend::attend_tiles(const LatentAttention& attention) {
  const int n = n_slots(), heads = packed(attention.k_b).count();
  const std::size_t latent = packed(attention.k_b).panels() * kPanelRows;
  int longest = 0;
  for (int i : slots_) {
    const int tokens = tokens_of(attention, i);
    longest = std::max(longest, tokens);
    traffic_.cache_bytes += tokens * std::int64_t(pages_.layout().row_bytes());
    traffic_.operations += 2 * std::int64_t{tokens} * heads * (pages_.width() + latent);
  }
  const int segments = (longest + kSegmentTokens - 1) / kSegmentTokens;
  const bool spread = n < 2 * team_.size() && segments > 1;
  segments_ = spread ? segments : 1;
  states_.reserve(std::size_t(n) * segments_ * state_size(heads, latent));
  team_.each(n * segments_, [&](int piece, int thread) {
    const int i = piece / segments_, tokens = tokens_of(attention, slots_[i]);
    const std::size_t size = state_size(heads, latent);
    float* const state = states_.data() + piece * size;
    if (spread) {
      return attend_segment(attention, i, piece % segments_, team_.size(), thread, state);
    }
    attend_segment(attention, i, 0, 1, thread, state);
    for (int s = 1; s * kSegmentTokens < tokens; ++s) {
      scratch_[thread].reserve(size + segment_scratch(heads));
      float* const part = scratch_[thread].data() + segment_scratch(heads);
      attend_segment(attention, i, s, 1, thread, part);
      merge(heads, 0, heads, latent, part, state);
    }
  });
}

int CpuBackend::tokens_of(const LatentAttention& attention, int row) const {
  const bool all = !attention.selected || kept_count_[row] < 0;
  return all ? batch_[row].position + 1 : kept_count_[row];
}

std::size_t CpuBackend::segment_scratch(int heads) const {
  return std::size_t(heads) * (kTileTokens + pages_.width());
}

// A state: largest [heads], sum [heads], weighted [heads][latent]. The thread is likely to go on
// with the segment that comes `step` after this one.
void CpuBackend::attend_segment(const LatentAttention& attention, int slot, int segment, int step,
                                int thread, float* state) {
  const int i = slots_[slot];
  const int heads = packed(attention.k_b).count(), width = pages_.width();
  const int latent = packed(attention.k_b).panels() * kPanelRows;
  const bool all = !attention.selected || kept_count_[i] < 0;
  const int* kept = all ? nullptr : kept_.data() + i * std::ptrdiff_t{kept_stride_};
  const int tokens = tokens_of(attention, i), begin = segment * kSegmentTokens;
  const int end = std::min(begin + kSegmentTokens, tokens);
  const SoftmaxState sums{state, state + heads, state + 2 * heads};
  std::fill_n(sums.largest, heads, -std::numeric_limits<float>::infinity());
  std::fill_n(sums.sum, heads + std::size_t(heads) * latent, 0.0f);
  const std::size_t state_floats = state_size(heads, latent);
  scratch_[thread].reserve(segment_scratch(heads) + state_floats);
  // The rows of the tile from token t on. Returns how many there are.
  const auto rows_from = [&](int t, int before, const void** rows) {
    const int n = std::clamp(before - t, 0, kTileTokens);
    for (int j = 0; j < n; ++j) {
      const int position = all ? t + j : kept[t + j];
      rows[j] = pages_.row(batch_[i].pages[position / kPageTokens], attention.layer,
                           position % kPageTokens);
    }
    return n;
  };
  const void* rows[2][kTileTokens];
  const void **now = rows[0], **then = rows[1];
  AttentionTile tile{.query = absorbed_.data() + slot * std::ptrdiff_t{heads} * width,
                     .heads = heads,
                     .width = width,
                     .latent = latent,
                     .scratch = scratch_[thread].data()};
  tile.n = rows_from(begin, end, now);
  for (int t = begin; t < end;) {
    t += tile.n;
    tile.rows = now;
    tile.ahead = then;
    tile.n_ahead =
        t < end ? rows_from(t, end, then) : rows_from(begin + step * kSegmentTokens, tokens, then);
    (precision_ == Precision::exact ? kernels_.attend_f32 : kernels_.attend_f16)(tile, sums);
    std::swap(now, then);
    tile.n = tile.n_ahead;
  }
}

// Adds the state `from` of later tokens to `to`, for heads [first, end).
void CpuBackend::merge(int heads, int first, int end, std::size_t latent, const float* from,
                       float* to) {
  for (int h = first; h < end; ++h) {
    const float largest = std::max(from[h], to[h]);
    if (std::isinf(from[h])) continue;  // no tokens
    const float old = std::exp(to[h] - largest), fresh = std::exp(from[h] - largest);
    to[h] = largest;
    to[heads + h] = old * to[heads + h] + fresh * from[heads + h];
    const float* part = from + 2 * heads + h * latent;
    float* total = to + 2 * heads + h * latent;
    for (std::size_t j = 0; j < latent; ++j) total[j] = old * total[j] + fresh * part[j];
  }
}

}  // namespace corvid::model
