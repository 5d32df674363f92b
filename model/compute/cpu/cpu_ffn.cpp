// feed_forward and mix_experts: gated networks over the rows that belong to them.
//
// Rows are grouped by expert, so that a prefill reads each expert's weights once and multiplies
// them with all of its rows. A pair is one row in one network; the dense or shared network is one
// more job that has all rows. Two phases: gate and up side by side, 32 hidden values at a time,
// which are gated and encoded on the spot; then down, a thread per stripe of outputs, which sums
// the experts of a row in one fixed order.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <numeric>

#include "model/compute/cpu/cpu_backend.h"

namespace corvid::model {
namespace {

constexpr int kRows = 64;
// Sums of weights are kept away from zero as the reference engines do (smallest normal half).
constexpr float kLeastSum = 6.103515625e-5f;

// Sets the experts outside the best groups to -infinity. A group scores by its best expert or, with
// `by_two`, by the sum of its two best.
void keep_best_groups(std::span<float> scores, int groups, int groups_used, bool by_two) {
  const std::size_t size = scores.size() / groups;
  std::vector<float> sums(groups);
  for (int g = 0; g < groups; ++g) {
    float best = -INFINITY, second = -INFINITY;
    for (float score : scores.subspan(g * size, size)) {
      if (score > best) {
        second = best;
        best = score;
      } else {
        second = std::max(second, score);
      }
    }
    sums[g] = by_two && size > 1 ? best + second : best;
  }
  std::vector<bool> kept(groups);
  for (int i = 0; i < groups_used; ++i) {
    int best = -1;
    for (int g = 0; g < groups; ++g) {
      if (!kept[g] && (best < 0 || sums[g] > sums[best])) best = g;
    }
    kept[best] = true;
  }
  for (int g = 0; g < groups; ++g) {
    if (!kept[g]) std::ranges::fill(scores.subspan(g * size, size), -INFINITY);
  }
}

// Turns logits into probabilities; writes the chosen experts and their weights.
// Source: DeepSeek-V3 report, equations 12 to 16; V2 report, section 2.2 (softmax); their published
// code (Gate in model.py) for what a group scores by.
void choose_experts(const Router& router, std::span<float> p, const float* bias, int* chosen,
                    float* weights) {
  if (router.gating == Gating::sigmoid) {
    for (float& value : p) value = 1 / (1 + std::exp(-value));
  } else {
    const float largest = *std::ranges::max_element(p);
    float sum = 0;
    for (float& value : p) sum += value = std::exp(value - largest);
    for (float& value : p) value /= sum;
  }
  std::vector<float> scores(p.begin(), p.end());
  if (bias) {
    for (std::size_t e = 0; e < p.size(); ++e) scores[e] += bias[e];
  }
  if (router.groups > 1) {
    keep_best_groups(scores, router.groups, router.groups_used, bias != nullptr);
  }
  float sum = 0;
  for (int i = 0; i < router.used; ++i) {
    chosen[i] = static_cast<int>(std::ranges::max_element(scores) - scores.begin());
    scores[chosen[i]] = -INFINITY;
    weights[i] = p[chosen[i]];
    sum += weights[i];
  }
  const float factor = router.scale / (router.normalise ? std::max(sum, kLeastSum) : 1);
  for (int i = 0; i < router.used; ++i) weights[i] *= factor;
}

}  // namespace

// Fills chosen_ and chosen_weight_ from input_, which holds the normalised rows as values.
void CpuBackend::route(const Tensor& x, const Router& router) {
  const PackedMatrix& gate = packed(router.gate);
  const int n = x.rows, width = gate.panels() * kPanelRows;
  router_logits_.reserve(static_cast<std::size_t>(n) * width);
  const int blocks = (n + kRows - 1) / kRows, pairs = (gate.panels() + 1) / 2;
  team_.each(blocks * pairs, [&](int piece, int) {
    const int first = piece / pairs * kRows, panel = piece % pairs * 2;
    multiply(gate, 0, panel, std::min(2, gate.panels() - panel), input_.input(first), nullptr,
             std::min(kRows, n - first),
             router_logits_.data() + first * std::ptrdiff_t{width} + panel * kPanelRows, width);
  });
  count(gate, 1, n);
  chosen_.resize(static_cast<std::size_t>(n) * router.used);
  chosen_weight_.resize(chosen_.size());
  const float* bias = router.bias ? vectors_[router.bias.id].data() : nullptr;
  team_.each((n + kRows - 1) / kRows, [&](int piece, int) {
    for (int i = piece * kRows; i < std::min(n, (piece + 1) * kRows); ++i) {
      const std::ptrdiff_t at = i * std::ptrdiff_t{router.used};
      choose_experts(router,
                     {router_logits_.data() + i * std::ptrdiff_t{width},
                      static_cast<std::size_t>(gate.rows())},
                     bias, chosen_.data() + at, chosen_weight_.data() + at);
    }
  });
}

void CpuBackend::feed_forward(const Tensor& x, const Norm& norm, const GatedFfn& ffn) {
  const bool gate = is_quantized(packed(ffn.gate).type());
  const bool up = is_quantized(packed(ffn.up).type());
  prepare(x, &norm, !gate || !up, gate || up);
  pair_row_.resize(x.rows);
  std::iota(pair_row_.begin(), pair_row_.end(), 0);
  pair_weight_.assign(x.rows, 1.0f);
  const FfnJob job{&ffn, 0, 0, x.rows};
  run_ffn(x, {&job, 1});
}

void CpuBackend::mix_experts(const Tensor& x, const Norm& norm, const Router& router,
                             const GatedFfn& experts, const GatedFfn& shared) {
  bool codes = false;
  for (const Matrix& m : {router.gate, experts.gate, experts.up, shared.gate, shared.up}) {
    codes |= m && is_quantized(packed(m).type());
  }
  prepare(x, &norm, true, codes);  // the router's weights are f32 as a rule
  route(x, router);

  // Pairs in the order of their experts; a counting sort keeps the rows of an expert ascending.
  const int n_experts = packed(experts.gate).count();
  std::vector<int> start(n_experts + 1);
  for (int e : chosen_) ++start[e + 1];
  std::partial_sum(start.begin(), start.end(), start.begin());
  const int n_chosen = static_cast<int>(chosen_.size());
  const int n_pairs = n_chosen + (shared.gate ? x.rows : 0);
  pair_row_.resize(n_pairs);
  pair_weight_.resize(n_pairs);
  std::vector<FfnJob> jobs;
  for (int e = 0; e < n_experts; ++e) {
    if (start[e + 1] > start[e]) jobs.push_back({&experts, e, start[e], start[e + 1] - start[e]});
  }
  for (int i = 0; i < n_chosen; ++i) {
    const int pair = start[chosen_[i]]++;
    pair_row_[pair] = i / router.used;
    pair_weight_[pair] = chosen_weight_[i];
  }
  if (shared.gate) {
    for (int i = 0; i < x.rows; ++i) {
      pair_row_[n_chosen + i] = i;
      pair_weight_[n_chosen + i] = 1;
    }
    jobs.push_back({&shared, 0, n_chosen, x.rows});
  }
  run_ffn(x, jobs);
}

void CpuBackend::run_ffn(const Tensor& x, std::span<const FfnJob> jobs) {
  struct Piece {
    const FfnJob* job;
    int first, n;  // groups of 32 hidden values
  };
  const auto groups_of = [&](const FfnJob& job) {
    return (packed(job.ffn->gate).panels() + 1) / 2;
  };
  int widest = 0, n_pairs = 0, groups = 0;
  bool values = false, codes = false;
  std::size_t bytes = 0;
  for (const FfnJob& job : jobs) {
    const PackedMatrix& down = packed(job.ffn->down);
    widest = std::max(widest, (down.columns() + kBlock - 1) / kBlock * kBlock);
    n_pairs = std::max(n_pairs, job.first_pair + job.n_pairs);
    (is_quantized(down.type()) ? codes : values) = true;
    const PackedMatrix& gate = packed(job.ffn->gate);
    bytes += gate.panel_bytes() * gate.panels() * 2;
    groups += groups_of(job);
    count(gate, 1, job.n_pairs);
    count(packed(job.ffn->up), 1, job.n_pairs);
    count(down, 1, job.n_pairs);
  }
  hidden_.shape(n_pairs, widest, values, codes);

  // Pieces large enough to be worth taking, small enough to share out evenly.
  const bool few = x.rows <= kFewRows;
  const std::size_t share = std::clamp<std::size_t>(bytes / (team_.size() * 8), 16384, 262144);
  const std::size_t group_bytes = 4 * packed(jobs[0].ffn->gate).panel_bytes();
  Pieces cut = few ? Pieces::shrinking(groups, team_.size(), 1)
                   : Pieces::even(std::max<int>(1, static_cast<int>(share / group_bytes)));
  std::vector<Piece> pieces;
  for (const FfnJob& job : jobs) {
    const int n = groups_of(job);
    for (int g = 0; g < n; g += pieces.back().n) pieces.push_back({&job, g, cut.next(n - g)});
  }
  team_.each(static_cast<int>(pieces.size()),
             [&](int i, int) { gate_groups(*pieces[i].job, pieces[i].first, pieces[i].n); });

  const int panels = packed(jobs[0].ffn->down).panels();
  cut = few ? Pieces::shrinking(panels, team_.size(), 2)
            : Pieces::even(panels >= team_.size() * 16 ? 4 : 2);
  std::vector<int> ends;  // of stripes of outputs
  for (int end = 0; end < panels; ends.push_back(end)) end += cut.next(panels - end);
  team_.each(static_cast<int>(ends.size()), [&](int i, int) {
    const int panel = i > 0 ? ends[i - 1] : 0;
    for (const FfnJob& job : jobs) add_down(x, job, panel, ends[i] - panel);
  });
}

// hidden[pair][32 values of a group] = weight * silu(gate x) * (up x), for `n_groups` groups of all
// pairs of a job.
void CpuBackend::gate_groups(const FfnJob& job, int group, int n_groups) {
  const PackedMatrix& gate = packed(job.ffn->gate);
  const PackedMatrix& up = packed(job.ffn->up);
  const bool codes = is_quantized(packed(job.ffn->down).type());
  float gates[kRows * 2 * kBlock];  // [row][width of gate, width of up]
  // Of a single row as many groups as there is room for: long reads, first of gate and then of up.
  const int at_once = job.n_pairs == 1 ? kRows : 1;
  for (int g = group; g < group + n_groups; g += at_once) {
    const int some = std::min(at_once, group + n_groups - g), panel = 2 * g;
    const int n_panels = std::min(2 * some, gate.panels() - panel);
    const int n = std::min(some * kBlock, gate.rows() - g * kBlock);
    const int width = n_panels * kPanelRows;
    float* const ups = gates + width;
    for (int first = 0; first < job.n_pairs; first += kRows) {
      const int n_rows = std::min(kRows, job.n_pairs - first);
      const int pair = job.first_pair + first;
      const int* const rows = pair_row_.data() + pair;
      multiply(gate, job.expert, panel, n_panels, input_.input(), rows, n_rows, gates, 2 * width);
      multiply(up, job.expert, panel, n_panels, input_.input(), rows, n_rows, ups, 2 * width);
      for (int i = 0; i < n_rows; ++i) {
        float* const gated = gates + i * 2 * width;
        float* out = codes ? gated : hidden_.values(pair + i) + g * kBlock;
        kernels_.gate(gated, ups + i * 2 * width, pair_weight_[pair + i], n, out);
        if (codes) hidden_.encode(kernels_, pair + i, g * kBlock, n, out);
      }
    }
  }
}

// x[row of pair] += down hidden[pair], for a stripe of outputs.
void CpuBackend::add_down(const Tensor& x, const FfnJob& job, int panel, int n_panels) {
  const PackedMatrix& down = packed(job.ffn->down);
  float tile[kRows * 4 * kPanelRows];
  for (int first = 0; first < job.n_pairs; first += kRows) {
    const int n_rows = std::min(kRows, job.n_pairs - first);
    const int pair = job.first_pair + first, at_once = kRows * 4 / n_rows;
    for (int p = 0; p < n_panels; p += at_once) {
      const int n = std::min(at_once, n_panels - p), width = n * kPanelRows;
      multiply(down, job.expert, panel + p, n, hidden_.input(pair), nullptr, n_rows, tile, width);
      for (int i = 0; i < n_rows; ++i) {
        float* sum = row(x, pair_row_[pair + i]) + (panel + p) * kPanelRows;
        for (int c = 0; c < width; ++c) sum[c] += tile[i * width + c];
      }
    }
  }
}

}  // namespace corvid::model
