// select: the indexer's scores and the choice of tokens, for the rows that have more than top_k.
//
// Keys lie 64 tokens side by side in a page, so a kernel call scores a whole page for all heads of
// one row. Many rows: each thread scores a few rows at a time, page by page, and chooses at once.
// Few rows: the pages are shared out, and so is the choice.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "model/compute/cpu/cpu_backend.h"
#include "model/compute/cpu/top_k.h"

namespace corvid::model {
namespace {

int pages_for(int tokens) {
  return (tokens + kPageTokens - 1) / kPageTokens;
}

}  // namespace

void CpuBackend::select(const IndexQuery& query) {
  const int n = query.query.rows, width = pages_.shape().index;
  assert(query.query.width == query.heads * width && query.weights.width == query.heads);
  kept_stride_ = query.top_k;
  kept_.resize(static_cast<std::size_t>(n) * query.top_k);
  kept_count_.assign(n, -1);
  std::vector<int> rows;  // that are scored
  for (int i = 0; i < n; ++i) {
    if (batch_[i].position + 1 > query.top_k) rows.push_back(i);
  }
  if (rows.empty()) return;

  const std::size_t heads = rows.size() * query.heads;
  index_query_.reserve(heads * width);
  index_weights_.reserve(heads);
  index_codes_.reserve(heads * width);
  index_offsets_.reserve(heads);
  const int n_rows = static_cast<int>(rows.size());
  team_.each(n_rows, [&](int slot, int) { prepare_index_query(query, rows[slot], slot); });
  if (n_rows < 2 * team_.size()) {
    score_ranges(query, rows);
  } else {
    score_rows(query, rows);
  }
  for (int i : rows) {
    const std::int64_t pages = pages_for(batch_[i].position + 1);
    traffic_.cache_bytes += pages * kPageTokens * pages_.layout().key_bytes();
    traffic_.operations += 2 * pages * kPageTokens * query.heads * width;
  }
}

// Query `slot`: turned and, for int8 keys, rotated and encoded; its scale goes into the head's
// weight.
void CpuBackend::prepare_index_query(const IndexQuery& query, int i, int slot) {
  const int width = pages_.shape().index;
  for (int h = 0; h < query.heads; ++h) {
    const std::size_t at = static_cast<std::size_t>(slot) * query.heads + h;
    float* q = index_query_.data() + at * width;
    std::memcpy(q, row(query.query, i) + h * width, width * sizeof(float));
    turn(q, query.rope, i, query.pairs);
    index_weights_[at] = row(query.weights, i)[h] * query.weight_scale;
    if (pages_.layout().exact_keys) continue;
    hadamard(q, width);
    float largest = 0;
    for (int j = 0; j < width; ++j) largest = std::max(largest, std::fabs(q[j]));
    const float inverse = largest > 0 ? 127 / largest : 0;
    std::int32_t sum = 0;
    for (int j = 0; j < width; ++j) {
      const int code = static_cast<int>(std::lrint(q[j] * inverse));
      index_codes_[at * width + j] = static_cast<std::int8_t>(code);
      sum += code;
    }
    index_offsets_[at] = -128 * sum;
    index_weights_[at] *= largest / 127;
  }
}

// `next` is the page that this thread will score after it, or the same.
void CpuBackend::score_page(const IndexQuery& query, int slot, const Row& row, int page, int next,
                            float* out) const {
  const int width = pages_.shape().index;
  const std::size_t at = static_cast<std::size_t>(slot) * query.heads;
  const std::byte* keys = pages_.keys(row.pages[page], query.layer);
  if (pages_.layout().exact_keys) {
    kernels_.index_f32(index_query_.data() + at * width, index_weights_.data() + at, query.heads,
                       width, reinterpret_cast<const float*>(keys), out);
  } else {
    kernels_.index_q8(
        index_codes_.data() + at * width, index_offsets_.data() + at, index_weights_.data() + at,
        query.heads, width, reinterpret_cast<const std::uint8_t*>(keys),
        pages_.key_scales(row.pages[page], query.layer),
        reinterpret_cast<const std::uint8_t*>(pages_.keys(row.pages[next], query.layer)), out);
  }
}

void CpuBackend::score_ranges(const IndexQuery& query, std::span<const int> rows) {
  int longest = 0;
  for (int i : rows) longest = std::max(longest, pages_for(batch_[i].position + 1));
  const std::size_t stride = static_cast<std::size_t>(longest) * kPageTokens;
  const int pages = std::clamp(longest / (team_.size() * 8), 4, 16);  // of a piece
  const int pieces = (longest + pages - 1) / pages;
  scores_.reserve(rows.size() * stride);
  team_.each(static_cast<int>(rows.size()) * pieces, [&](int piece, int) {
    const int slot = piece / pieces, first = piece % pieces * pages;
    const Row& row = batch_[rows[slot]];
    const int end = std::min(first + pages, pages_for(row.position + 1));
    for (int page = first; page < end; ++page) {
      score_page(query, slot, row, page, std::min(page + 1, end - 1),
                 scores_.data() + slot * stride + page * kPageTokens);
    }
  });
  choose(query, rows, stride);
}

// A row's tokens are shared out here, too. The best k of all are the best k of the best k of every
// part; positions stay in order, so that of equal scores the lower ones still win.
void CpuBackend::choose(const IndexQuery& query, std::span<const int> rows, std::size_t stride) {
  const std::size_t k = query.top_k, n_rows = rows.size();
  const std::size_t most = std::max<std::size_t>(1, team_.size() / n_rows);
  const auto tokens_of = [&](std::size_t slot) -> std::size_t {
    return batch_[rows[slot]].position + 1;
  };
  const auto parts_of = [&](std::size_t slot) {  // none so small that most of it is kept
    return std::clamp<std::size_t>(tokens_of(slot) / (4 * k), 1, most);
  };
  best_of_parts_.resize(n_rows * most * k);
  team_.each(static_cast<int>(n_rows * most), [&](int piece, int) {
    const std::size_t slot = piece / most, part = piece % most, parts = parts_of(slot);
    if (part >= parts) return;
    const std::size_t n = tokens_of(slot), first = n * part / parts, end = n * (part + 1) / parts;
    int* const best = best_of_parts_.data() + piece * k;
    top_k({scores_.data() + slot * stride + first, end - first}, {best, k});
    for (std::size_t j = 0; j < k; ++j) best[j] += static_cast<int>(first);
  });
  team_.each(static_cast<int>(n_rows), [&](int slot, int thread) {
    const std::size_t n = parts_of(slot) * k;
    const int* const best = best_of_parts_.data() + slot * most * k;
    int* const kept = kept_.data() + rows[slot] * k;
    kept_count_[rows[slot]] = query.top_k;
    if (n == k) {
      std::copy_n(best, k, kept);
      return;
    }
    scratch_[thread].reserve(n);
    float* const scores = scratch_[thread].data();
    for (std::size_t j = 0; j < n; ++j) scores[j] = scores_[slot * stride + best[j]];
    top_k({scores, n}, {kept, k});
    for (std::size_t j = 0; j < k; ++j) kept[j] = best[kept[j]];
  });
}

void CpuBackend::score_rows(const IndexQuery& query, std::span<const int> rows) {
  constexpr int kRows = 4;
  const int n = static_cast<int>(rows.size());
  team_.each((n + kRows - 1) / kRows, [&](int piece, int thread) {
    const int first = piece * kRows, end = std::min(n, first + kRows);
    int longest = 0;
    for (int slot = first; slot < end; ++slot) {
      longest = std::max(longest, pages_for(batch_[rows[slot]].position + 1));
    }
    const std::size_t stride = static_cast<std::size_t>(longest) * kPageTokens;
    scratch_[thread].reserve(kRows * stride);
    float* scores = scratch_[thread].data();
    for (int page = 0; page < longest; ++page) {
      for (int slot = first; slot < end; ++slot) {
        const Row& row = batch_[rows[slot]];
        if (page >= pages_for(row.position + 1)) continue;
        score_page(query, slot, row, page, page,
                   scores + (slot - first) * stride + page * kPageTokens);
      }
    }
    for (int slot = first; slot < end; ++slot) {
      const int i = rows[slot];
      const std::size_t tokens = batch_[i].position + 1, k = query.top_k;
      top_k({scores + (slot - first) * stride, tokens}, {kept_.data() + i * k, k});
      kept_count_[i] = query.top_k;
    }
  });
}

std::vector<int> CpuBackend::selection(int row) {
  if (kept_count_[row] < 0) return {};
  const int* first = kept_.data() + row * std::ptrdiff_t{kept_stride_};
  return {first, first + kept_count_[row]};
}

}  // namespace corvid::model
