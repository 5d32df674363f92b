// The expanded form of attention, for many rows of one timeline: k_b and v_b are applied to the
// cached tokens, a tile at a time, and every head has keys and values of its own. Where rows read
// a selection, the scores of the other tokens are masked; a token that no row has selected is not
// read at all.
//
// A pair of a row and a token then costs nope + rope + value products instead of twice the latent's
// width, a token latent * (nope + value) more. Everything is laid out in panels of 16 (panels.h):
// keys [dimension][16 tokens], values [token][16 dimensions], so that the products are those of the
// ordinary f32 kernel. A row's softmax and its sum of values are carried from tile to tile in
// states_ and in the output.
#include <algorithm>
#include <cstring>
#include <limits>

#include "model/compute/cpu/cpu_backend.h"

namespace corvid::model {
namespace {

constexpr int kTile = 256;  // tokens
constexpr int kRows = 64;   // rows of a piece
constexpr int kLeastRows = 32;
// What a product costs in the absorbed form, and one of codes in either, against one of floats in
// panels. Measured on AVX-512, AVX2: attention of 512 rows at depths 0 and 4096 in both forms.
constexpr double kAbsorbedCost = 0.9, kCodesCost = 0.35;
// What a masked pair costs against one that is not; of 512 rows at depths 2048 to 3584.
constexpr double kMaskedCost = 1.3;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

// Consecutive rows of one timeline that all read every token, or all read a selection.
std::vector<CpuBackend::RowRange> CpuBackend::runs_of(const LatentAttention& attention) const {
  const auto reads_all = [&](int i) { return !attention.selected || kept_count_[i] < 0; };
  std::vector<RowRange> runs;
  for (int i = 0; i < attention.query.rows; ++i) {
    const bool goes_on =
        i > 0 && batch_[i].pages == batch_[i - 1].pages && reads_all(i) == reads_all(i - 1);
    if (goes_on) ++runs.back().n;
    if (!goes_on) runs.push_back({i, 1});
  }
  return runs;
}

// Depends on nothing but sizes: the same prompt takes the same form every time.
bool CpuBackend::expanding_pays(const LatentAttention& attention, const RowRange& run) const {
  if (run.n < kLeastRows) return false;
  const double latent = pages_.shape().latent, nope = packed(attention.k_b).columns();
  const double value = packed(attention.v_b).rows(), rope = attention.rope.dims;
  const double codes = is_quantized(packed(attention.v_b).type()) ? kCodesCost : 1;
  double past = 0, read = 0;  // tokens up to each row, and those that it reads
  for (int i = run.first; i < run.first + run.n; ++i) {
    past += batch_[i].position + 1;
    read += tokens_of(attention, i);
  }
  if (read < past) past *= kMaskedCost;
  const double tokens = batch_[run.first + run.n - 1].position + 1;
  const double absorbed =
      read * (pages_.width() + latent) * kAbsorbedCost + run.n * latent * (nope + value) * codes;
  const double expanded = past * (nope + rope + value) + tokens * latent * (nope + value * codes) +
                          nope * latent * nope * codes;
  return expanded < absorbed;
}

void CpuBackend::attend_expanded(const LatentAttention& attention, const RowRange& run) {
  const PackedMatrix& k_b = packed(attention.k_b);
  const PackedMatrix& v_b = packed(attention.v_b);
  const int heads = k_b.count(), blocks = (run.n + kRows - 1) / kRows;
  const int tokens = batch_[run.first + run.n - 1].position + 1;
  masked_ = attention.selected && kept_count_[run.first] >= 0;
  unfold_keys(attention);
  turn_queries(attention, run);
  for (int first = 0; first < tokens; first += kTile) {
    const int n = std::min(kTile, tokens - first);
    mask_tile(run, first, n);
    load_latents(attention, batch_[run.first], first, n);
    expand_tile(attention, n);
    team_.each(heads * blocks, [&](int piece, int thread) {
      attend_block(attention, run, first, piece / blocks, piece % blocks, thread);
    });
    traffic_.cache_bytes += std::count(wanted_.begin(), wanted_.end(), true) *
                            std::int64_t(pages_.layout().row_bytes());
    count(k_b, heads, std::int64_t{n} * heads);
    count(v_b, heads, std::int64_t{n} * heads);
  }
  const int width = k_b.columns() + attention.rope.dims + v_b.rows();
  for (int i = run.first; i < run.first + run.n; ++i) {
    traffic_.operations += 2 * std::int64_t{batch_[i].position + 1} * heads * width;
  }
  team_.each(run.n, [&](int i, int) {
    float* out = row(attention.out, run.first + i);
    for (int h = 0; h < heads; ++h) {
      const float sum = states_[(std::size_t(i) * heads + h) * 2 + 1];
      for (int j = 0; j < v_b.rows(); ++j) *out++ /= sum;
    }
  });
}

// unfolded_ [heads][nope][latent, padded]: the rows of k_b transposed, as its products with the
// columns of an identity.
void CpuBackend::unfold_keys(const LatentAttention& attention) {
  const PackedMatrix& k_b = packed(attention.k_b);
  const int nope = k_b.columns(), padded = k_b.panels() * kPanelRows;
  const bool codes = is_quantized(k_b.type());
  input_.shape(nope, nope, true, codes);
  std::fill_n(input_.values(0), nope * nope, 0.0f);
  for (int i = 0; i < nope; ++i) {
    input_.values(i)[i] = 1;
    if (codes) input_.encode(kernels_, i, 0, nope, input_.values(i));
  }
  unfolded_.reserve(std::size_t(k_b.count()) * nope * padded);
  team_.each(k_b.count(), [&](int h, int) {
    multiply(k_b, h, 0, k_b.panels(), input_.input(), nullptr, nope,
             unfolded_.data() + std::size_t(h) * nope * padded, padded);
  });
}

// queries_ [row][heads][nope + rope], rotated and scaled; starts states_ [row][heads][2], the
// largest score and the sum.
void CpuBackend::turn_queries(const LatentAttention& attention, const RowRange& run) {
  const int heads = packed(attention.k_b).count(), nope = packed(attention.k_b).columns();
  const int width = nope + attention.rope.dims;
  queries_.reserve(std::size_t(run.n) * heads * width);
  states_.reserve(std::size_t(run.n) * heads * 2);
  team_.each(run.n, [&](int i, int) {
    float* out = queries_.data() + std::size_t(i) * heads * width;
    std::memcpy(out, row(attention.query, run.first + i), heads * width * sizeof(float));
    for (int h = 0; h < heads; ++h, out += width) {
      turn(out + nope, attention.rope, run.first + i, RopePairs::interleaved);
      for (int j = 0; j < width; ++j) out[j] *= attention.scale;
      float* state = states_.data() + (std::size_t(i) * heads + h) * 2;
      state[0] = -kInfinity;
      state[1] = 0;
    }
  });
}

// What of a tile is read. mask_ [row][kTile]: 0 or, for a token that the row has not selected,
// -infinity; reads_ [row]: how many it has; wanted_ [token]: whether any row has.
void CpuBackend::mask_tile(const RowRange& run, int first, int tokens) {
  wanted_.assign(tokens, !masked_);
  if (!masked_) return;
  mask_.reserve(std::size_t(run.n) * kTile);
  reads_.resize(run.n);
  constexpr int kFew = 16;
  team_.each((run.n + kFew - 1) / kFew, [&](int piece, int) {
    for (int i = piece * kFew; i < std::min(run.n, (piece + 1) * kFew); ++i) {
      float* const mask = mask_.data() + std::size_t(i) * kTile;
      std::fill_n(mask, kTile, -kInfinity);
      const int* const kept = kept_.data() + (run.first + i) * std::ptrdiff_t{kept_stride_};
      const int* const end = kept + kept_count_[run.first + i];
      const int* const begin = std::lower_bound(kept, end, first);
      const int* at = begin;
      for (; at < end && *at < first + tokens; ++at) mask[*at - first] = 0;
      reads_[i] = static_cast<int>(at - begin);
    }
  });
  for (int t = 0; t < tokens; ++t) {
    for (int i = 0; i < run.n && !wanted_[t]; ++i) {
      wanted_[t] = mask_[std::size_t(i) * kTile + t] == 0;
    }
  }
}

// latents_ [panel of 16 tokens][width][16] and hidden_ [token][latent], ready for v_b; zeros beyond
// the last token and for tokens that nobody wants.
void CpuBackend::load_latents(const LatentAttention& attention, const Row& of, int first,
                              int tokens) {
  const int latent = pages_.shape().latent, width = pages_.width();
  const bool codes = is_quantized(packed(attention.v_b).type());
  hidden_.shape(kTile, latent, true, codes);
  latents_.reserve(std::size_t(kTile) * width);
  team_.each((tokens + kPanelRows - 1) / kPanelRows, [&](int panel, int thread) {
    scratch_[thread].reserve(width);
    float* const values = scratch_[thread].data();
    float* const out = latents_.data() + std::size_t(panel) * width * kPanelRows;
    for (int r = 0; r < kPanelRows; ++r) {
      const int t = panel * kPanelRows + r, position = first + t;
      if (t < tokens && wanted_[t]) {
        pages_.get_row(of.pages[position / kPageTokens], attention.layer, position % kPageTokens,
                       values);
      } else {
        std::fill_n(values, width, 0.0f);
      }
      if (t < tokens) {
        std::memcpy(hidden_.values(t), values, latent * sizeof(float));
        if (codes) hidden_.encode(kernels_, t, 0, latent, values);
      }
      for (int i = 0; i < width; ++i) out[i * kPanelRows + r] = values[i];
    }
  });
}

// expanded_keys_ [heads][panel of 16 tokens][nope + rope][16] and expanded_values_
// [heads][panel of 16 dimensions][token][16] of the tokens in latents_ and hidden_.
void CpuBackend::expand_tile(const LatentAttention& attention, int tokens) {
  const PackedMatrix& k_b = packed(attention.k_b);
  const PackedMatrix& v_b = packed(attention.v_b);
  const int heads = k_b.count(), nope = k_b.columns(), latent = k_b.rows(), width = pages_.width();
  const int rope = attention.rope.dims, unfolded = k_b.panels() * kPanelRows;
  const std::size_t key_panel = std::size_t(nope + rope) * kPanelRows;
  const std::size_t value_panel = std::size_t{kTile} * kPanelRows;
  const int key_panels = (tokens + kPanelRows - 1) / kPanelRows;
  constexpr int kKeyPanels = kTile / kPanelRows;
  expanded_keys_.reserve(heads * kKeyPanels * key_panel);
  expanded_values_.reserve(heads * v_b.panels() * value_panel);
  const Multiply multiply_floats = kernels_.multiply[static_cast<int>(Type::f32)];
  const int pieces = key_panels + v_b.panels();
  team_.each(heads * pieces, [&](int piece, int) {
    const int h = piece / pieces, panel = piece % pieces;
    if (panel >= key_panels) {
      const int p = panel - key_panels;
      multiply(v_b, h, p, 1, hidden_.input(), nullptr, tokens,
               expanded_values_.data() + (std::size_t(h) * v_b.panels() + p) * value_panel,
               kPanelRows);
      return;
    }
    const float* latents = latents_.data() + std::size_t(panel) * width * kPanelRows;
    const auto* bytes = reinterpret_cast<const std::byte*>(latents);
    float* out = expanded_keys_.data() + (std::size_t(h) * kKeyPanels + panel) * key_panel;
    const Input rows{.values = unfolded_.data() + std::size_t(h) * nope * unfolded,
                     .values_stride = unfolded};
    multiply_floats(&bytes, 1, latent, rows, nullptr, nope, out, kPanelRows);
    std::memcpy(out + nope * kPanelRows, latents + latent * kPanelRows,
                rope * kPanelRows * sizeof(float));
  });
}

// The rows of a block of the run over the expanded tile, whose first token is `first`.
void CpuBackend::attend_block(const LatentAttention& attention, const RowRange& run, int first,
                              int head, int block, int thread) {
  const PackedMatrix& v_b = packed(attention.v_b);
  const int heads = v_b.count(), value = v_b.rows(), padded = v_b.panels() * kPanelRows;
  const int width = packed(attention.k_b).columns() + attention.rope.dims;
  const int begin = block * kRows, n = std::min(kRows, run.n - begin);
  const int last = batch_[run.first + begin + n - 1].position;
  const int tokens = std::min(kTile, last + 1 - first);
  if (tokens <= 0) return;
  scratch_[thread].reserve(kRows * (kTile + padded));
  float* const scores = scratch_[thread].data();
  float* const sums = scores + kRows * kTile;
  const auto products = [&](const float* panels, std::size_t stride, int n_panels, int k,
                            const Input& rows, float* out, int out_stride) {
    const std::byte* four[kMaxPanels];
    for (int p = 0; p < n_panels; p += kMaxPanels) {
      const int some = std::min(kMaxPanels, n_panels - p);
      for (int i = 0; i < some; ++i) {
        four[i] = reinterpret_cast<const std::byte*>(panels + (p + i) * stride);
      }
      kernels_.multiply[static_cast<int>(Type::f32)](four, some, k, rows, nullptr, n,
                                                     out + p * kPanelRows, out_stride);
    }
  };
  const std::ptrdiff_t all_heads = std::ptrdiff_t{heads} * width;
  const Input queries{.values = queries_.data() + begin * all_heads + head * width,
                      .values_stride = all_heads};
  products(expanded_keys_.data() + head * std::size_t{kTile} * width,
           std::size_t(width) * kPanelRows, (tokens + kPanelRows - 1) / kPanelRows, width, queries,
           scores, kTile);
  float shrink[kRows];
  for (int i = 0; i < n; ++i) {
    float* const mine = scores + i * kTile;
    int seen = std::clamp(batch_[run.first + begin + i].position + 1 - first, 0, tokens);
    if (masked_) {
      const float* const mask = mask_.data() + std::size_t(begin + i) * kTile;
      for (int t = 0; t < kTile; ++t) mine[t] += mask[t];  // whole vectors
      if (reads_[begin + i] == 0) seen = 0;
    }
    float* const state = states_.data() + (std::size_t(begin + i) * heads + head) * 2;
    shrink[i] = seen > 0 ? kernels_.soften(mine, seen, state, state + 1) : 1;
    std::fill(mine + seen, mine + std::max(seen, tokens), 0.0f);
  }
  products(expanded_values_.data() + head * std::size_t{kTile} * padded,
           std::size_t{kTile} * kPanelRows, v_b.panels(), tokens,
           {.values = scores, .values_stride = kTile}, sums, padded);
  for (int i = 0; i < n; ++i) {
    float* out = row(attention.out, run.first + begin + i) + head * value;
    for (int j = 0; j < value; ++j) {
      out[j] = first == 0 ? sums[i * padded + j] : out[j] * shrink[i] + sums[i * padded + j];
    }
  }
}

}  // namespace corvid::model
