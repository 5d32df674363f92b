// select and attend of VulkanBackend. Rows go by in groups whose intermediate results fit into a
// bounded piece of memory.
#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "model/compute/vulkan/sizes.h"
#include "model/compute/vulkan/vulkan_backend.h"

namespace corvid::model {
namespace {

using Address = VkDeviceAddress;
using Number = std::uint32_t;

// Heads that share a workgroup of attend.comp, whose queries lie in its 32 KB of shared memory.
constexpr int head_group(int latent) {
  return latent <= 512 ? 8 : 4;
}
constexpr int kTileTokens = 64;
constexpr int kWorkgroups = 512;  // that keep a large device busy

}  // namespace

// --- Cache -------------------------------------------------------------------------------------

void VulkanBackend::store(const KvRows& rows) {
  keep_rows(&rows, nullptr, 0, rows.latent.rows);
  pace();
}

// Stores rows, or prepares the indexer's queries of n rows in index_, or both.
void VulkanBackend::keep_rows(const KvRows* rows, const IndexQuery* query, int first, int n) {
  const bool keys = rows && layout_.shape.index > 0;
  struct {
    Address rows, pages, angles, latent, latent_weight, key, key_weight, key_bias;
    Address query, weights, turned, factors;
    Number layer_at, heads;
    float eps, key_eps, weight_scale;
    Number unused;
  } push{.rows = batch_.rows_address(first),
         .pages = batch_.pages_address(),
         .angles = angles(rows ? rows->rope : query->rope)};
  if (rows) {
    push.latent = address(rows->latent);
    push.latent_weight = vector(rows->latent_norm.weight);
    push.key = keys ? address(rows->index_key) : 0;
    push.key_weight = vector(rows->index_norm.weight);
    push.key_bias = vector(rows->index_norm.bias);
    push.layer_at = Number(layout_.layer_bytes / 4 * rows->layer);
    push.eps = rows->latent_norm.eps;
    push.key_eps = rows->index_norm.eps;
  }
  if (query) {
    push.query = address(query->query.slice(first, n));
    push.weights = address(query->weights.slice(first, n));
    push.turned = index_.region().address;
    push.factors = push.turned + std::size_t(n) * query->heads * layout_.shape.index * 4;
    push.heads = query->heads;
    push.weight_scale = query->weight_scale;
  }
  std::vector<Number> constants = cache_constants();
  constants.insert(constants.end(),
                   {rows && rows->index_pairs == RopePairs::half_split, rows != nullptr,
                    query && query->pairs == RopePairs::half_split});
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::store, constants), push,
                     {Number(rows != nullptr) + push.heads, Number(n)});
  const KvShape& shape = layout_.shape;
  const std::int64_t words_per_key = (layout_.key_bytes() + layout_.scale_bytes()) / 4;
  if (rows) {
    count_floats(n * std::int64_t{shape.latent + 3 * shape.rope + shape.index} + shape.latent);
    count_floats(n * static_cast<std::int64_t>((shape.latent + shape.rope) * layout_.value_bytes) /
                 4);
    if (keys) count_floats(n * words_per_key + 2 * shape.index);
  }
  count_floats(n * std::int64_t{push.heads} * (shape.index + 1 + words_per_key));
}

// --- Indexer -----------------------------------------------------------------------------------

void VulkanBackend::select(const IndexQuery& query) {
  const int n = query.query.rows, group = plan_selection(query);
  if (kept_stride_ == 0) return;
  for (int first = 0; first < n; first += group) {
    select_rows(nullptr, query, first, std::min(group, n - first));
  }
}

// At once where the rows are the same and few.
void VulkanBackend::store_and_select(const KvRows& rows, const IndexQuery& query) {
  const int n = query.query.rows, group = plan_selection(query);
  const bool at_once =
      kept_stride_ > 0 && group == n && rows.latent.rows == n && rows.rope.id == query.rope.id;
  if (at_once) {
    select_rows(&rows, query, 0, n);
  } else {
    store(rows);
    select(query);
  }
}

// How many rows' scores are held at a time.
int VulkanBackend::plan_selection(const IndexQuery& query) {
  const int n = query.query.rows;
  kept_stride_ = 0;
  if (batch_.longest() <= query.top_k) return n;
  kept_stride_ = 1 + query.top_k;
  reserve(kept_, std::size_t(n) * kept_stride_);
  const std::size_t tokens = std::bit_ceil(divide_up(batch_.longest(), kPageTokens)) * kPageTokens;
  const std::size_t per_row = tokens + query.heads * (1 + layout_.shape.index);
  return static_cast<int>(std::clamp<std::size_t>(kScratchFloats / per_row, 1, n));
}

void VulkanBackend::select_rows(const KvRows* stored, const IndexQuery& query, int first, int n) {
  const Number heads = query.heads, index = layout_.shape.index;
  const Number pages = std::bit_ceil(divide_up(batch_.longest(), kPageTokens));
  const Number scores_stride = pages * kPageTokens;
  const std::size_t words = std::size_t(n) * heads * index;
  const Address turned = reserve(index_, words + n * (heads + scores_stride));
  const Address factors = turned + words * 4, scores = factors + std::size_t(n) * heads * 4;
  const Address rows = batch_.rows_address(first);
  keep_rows(stored, &query, first, n);

  struct {
    Address rows, pages, query, factors, scores;
    Number layer_at, heads, top_k, scores_stride;
  } score{rows,         batch_.pages_address(),
          turned,       factors,
          scores,       Number(layout_.layer_bytes / 4 * query.layer),
          heads,        Number(query.top_k),
          scores_stride};
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::score, cache_constants()), score, {pages, Number(n)});

  struct {
    Address rows, scores, kept;
    Number top_k, scores_stride;
  } top{rows, scores, kept_.region().address + std::size_t(first) * kept_stride_ * 4,
        Number(query.top_k), scores_stride};
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::top_k, {}), top, {Number(n)});
  const std::int64_t query_words =
      heads * static_cast<std::int64_t>(layout_.key_bytes() / 4) + heads;
  for (int i = first; i < first + n; ++i) {
    const std::int64_t tokens = batch_.position(i) + 1;
    if (tokens <= query.top_k) continue;
    const auto key_bytes = static_cast<std::int64_t>(layout_.key_bytes() + layout_.scale_bytes());
    count_cache(tokens * key_bytes, tokens * key_bytes);
    count_floats(query_words + 2 * tokens + query.top_k);
    traffic_.operations += 2 * tokens * heads * index;
  }
  pace();
}

std::vector<int> VulkanBackend::selection(int row) {
  if (kept_stride_ == 0) return {};
  const std::size_t bytes = std::size_t(kept_stride_) * 4;
  const Region copy = readback(bytes);
  commands_.barrier();
  commands_.copy(kept_.region().part(row * bytes, bytes), copy);
  commands_.finish();
  std::vector<int> kept(kept_stride_);
  std::memcpy(kept.data(), copy.mapped, bytes);
  return kept[0] < 0 ? std::vector<int>{} : std::vector(kept.begin() + 1, kept.end());
}

// --- Attention ---------------------------------------------------------------------------------

void VulkanBackend::attend(const LatentAttention& attention) {
  const int n = attention.query.rows, heads = attention.k_b.count;
  assert(attention.out.width == heads * attention.v_b.rows);
  assert(attention.v_b.columns == layout_.shape.latent);
  const std::size_t per_row = std::size_t(heads) * (2 * layout_.shape.latent + 4);
  const int group = static_cast<int>(std::clamp<std::size_t>(kScratchFloats / per_row, 1, n));
  for (int first = 0; first < n; first += group) {
    attend_rows(attention, first, std::min(group, n - first));
  }
}

void VulkanBackend::attend_rows(const LatentAttention& attention, int first, int n) {
  const Weights &k_b = weights(attention.k_b), &v_b = weights(attention.v_b);
  const Number heads = attention.k_b.count, latent = layout_.shape.latent;
  const Number nope = attention.k_b.columns, rope = attention.rope.dims;
  const bool selected = attention.selected && kept_stride_ > 0;
  const Tensor query = attention.query.slice(first, n);
  const std::size_t tokens =
      selected ? std::min(batch_.longest(), kept_stride_ - 1) : batch_.longest();
  const Number group = head_group(layout_.shape.latent);
  const Number groups = divide_up(heads, group);
  const Number parts = std::min(std::bit_ceil(divide_up(kWorkgroups, n * groups)),
                                std::bit_ceil(divide_up(tokens, kTileTokens)));
  const std::size_t absorbed_floats = std::size_t(n) * padded(heads * latent);
  const Address absorbed =
      reserve(attention_, absorbed_floats + std::size_t(n) * parts * heads * (4 + latent));
  const Address states = absorbed + absorbed_floats * 4;

  commands_.barrier();
  multiply({.targets = {Target{&k_b, absorbed}},
            .matrices = int(heads),
            .x = address(query),
            .x_stride = stride(query),
            .x_step = nope + rope,
            .n_rows = n});

  struct {
    Address rows, pages, angles, absorbed, query, kept, states;
    Number layer_at, heads, parts, query_stride, nope, kept_stride;
    float scale;
    Number unused;
  } attend{batch_.rows_address(first),
           batch_.pages_address(),
           angles(attention.rope),
           absorbed,
           address(query),
           selected ? kept_.region().address + std::size_t(first) * kept_stride_ * 4 : 0,
           states,
           Number(layout_.layer_bytes / 4 * attention.layer),
           heads,
           parts,
           stride(query),
           nope,
           Number(kept_stride_),
           attention.scale,
           0};
  std::vector<Number> constants = cache_constants();
  constants.insert(constants.end(), {selected, std::min<Number>(heads, group)});
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::attend, constants), attend, {parts, groups, Number(n)});

  // The absorbed queries have been read: the attended latents take their place.
  struct {
    Address states, merged;
    Number heads, parts, quads, unused;
  } merge{states, absorbed, heads, parts, latent / 4, 0};
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::merge, {}), merge, {heads, Number(n)});

  const Tensor out = attention.out.slice(first, n);
  commands_.barrier();
  multiply({.targets = {Target{&v_b, address(out)}},
            .matrices = int(heads),
            .x = absorbed,
            .x_stride = padded(heads * latent),
            .x_step = latent,
            .n_rows = n});
  const auto row_bytes = static_cast<std::int64_t>((latent + rope) * layout_.value_bytes);
  for (int i = first; i < first + n; ++i) {
    const std::int64_t read =
        selected ? std::min(batch_.position(i) + 1, kept_stride_ - 1) : batch_.position(i) + 1;
    count_cache(read * row_bytes, read * row_bytes);
    count_floats(selected ? read : 0);
    traffic_.operations += 2 * read * heads * (2 * latent + rope);
  }
  // Queries, what the parts leave and its sum.
  const std::int64_t all_heads = std::int64_t{n} * heads;
  count_floats(all_heads * (latent + rope) + 2 * n * rope + 2 * all_heads * parts * (4 + latent) +
               all_heads * latent);
  pace();
}

}  // namespace corvid::model
