// The operations of VulkanBackend: which kernels, on what, in which order.
#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "model/compute/cpu/panels.h"
#include "model/compute/vulkan/vulkan_backend.h"

namespace corvid::model {
namespace {

using Address = VkDeviceAddress;
using Number = std::uint32_t;

constexpr int kTileRows = 8;            // that a kernel multiplies with a weight that it has read
constexpr std::size_t kListAhead = 64;  // commands of a large batch before they are submitted
constexpr int kLargeBatch = 16;
constexpr std::size_t kScratchFloats = 16 << 20;  // of one group of rows
constexpr int kHeadGroup = 8;                     // heads that share a workgroup of attend.comp
constexpr int kTileTokens = 64;
constexpr int kWorkgroups = 512;  // that keep a large device busy

Number divide_up(std::size_t a, std::size_t b) {
  return static_cast<Number>((a + b - 1) / b);
}

// Rows of intermediate results start where four values can be read at once.
Number padded(std::size_t width) {
  return divide_up(width, 16) * 16;
}

int tile_for(int n_rows) {
  return n_rows == 1 ? 1 : n_rows <= 4 ? 4 : kTileRows;
}

}  // namespace

// Constants 0 to 7 of kernels that read weights; see weights.glsl.
std::vector<Number> VulkanBackend::format_constants(Type type) const {
  if (!is_quantized(type)) {
    const Number plain = type == Type::f32 ? 1 : type == Type::f16 ? 2 : 3;
    return {plain, 0, 0, 32, 128, 0, 0, 0};
  }
  const PanelFormat f = panel_format(type);
  return {0,
          static_cast<Number>(f.code.bits),
          static_cast<Number>(f.scales),
          static_cast<Number>(f.group),
          static_cast<Number>(f.code.zero),
          static_cast<Number>(static_cast<int>(f.code.table) + 1),
          static_cast<Number>(f.head_bytes() / 4),
          static_cast<Number>(f.block_bytes() / 4)};
}

// Constants 0 to 6 of kernels that know the cache; see cache.glsl.
std::vector<Number> VulkanBackend::cache_constants() const {
  const KvShape& shape = layout_.shape;
  return {layout_.exact,
          static_cast<Number>(shape.latent),
          static_cast<Number>(shape.rope),
          static_cast<Number>(shape.index),
          static_cast<Number>(layout_.width),
          static_cast<Number>(layout_.keys_at / 4),
          static_cast<Number>(layout_.scales_at / 4)};
}

// A large batch starts before all of it is listed: the device has work, and no submission takes
// so long that a watchdog ends it.
void VulkanBackend::pace() {
  if (batch_.rows() >= kLargeBatch && commands_.pending() >= kListAhead) commands_.submit();
}

void VulkanBackend::begin(const Batch& batch) {
  staging_.flush();
  commands_.finish();
  batch_.begin(batch, pages_);
}

void VulkanBackend::embed(const Matrix& table, const Tensor& x) {
  struct {
    Address table, codebook, rows, x;
    Number columns, x_stride;
  } push{weights(table).slices,        codebook_.address, batch_.rows_address(), address(x),
         static_cast<Number>(x.width), stride(x) / 4};
  commands_.dispatch(pipelines_.get(Kernel::embed, format_constants(weights(table).type)), push,
                     {divide_up(x.width, 4 * 64), static_cast<Number>(x.rows)});
  traffic_.weight_bytes += x.rows * static_cast<std::int64_t>(weights(table).panel_bytes) / 16;
}

void VulkanBackend::multiply(const Product& product) {
  const Weights& w = *product.weights;
  const int tile = tile_for(product.n_rows);
  std::vector<Number> constants = format_constants(w.type);
  constants.insert(constants.end(), {Number(tile), product.norm != nullptr, product.add});
  struct {
    Address weights, codebook, x, norm, y;
    Number columns, rows, n_rows, x_stride, x_step, y_stride, y_step;
    float eps;
  } push{w.slices,
         codebook_.address,
         product.x,
         product.norm ? vector(product.norm->weight) : 0,
         product.y,
         Number(w.columns),
         Number(w.rows),
         Number(product.n_rows),
         product.x_stride / 4,
         product.x_step / 4,
         product.y_stride,
         product.y_step,
         product.norm ? product.norm->eps : 0};
  commands_.dispatch(pipelines_.get(Kernel::multiply, constants), push,
                     {Number(w.panels), divide_up(product.n_rows, tile), Number(product.matrices)});
  count(w, product.matrices, std::int64_t{product.n_rows} * product.matrices);
}

void VulkanBackend::project(const Tensor& x, const Norm* norm, std::span<const Projection> outs) {
  commands_.barrier();
  for (const Projection& out : outs) {
    assert(out.weight.columns == x.width && out.weight.rows == out.out.width);
    assert(!norm || !norm->bias);
    multiply({.weights = &weights(out.weight),
              .x = address(x),
              .y = address(out.out),
              .x_stride = stride(x),
              .y_stride = stride(out.out),
              .n_rows = x.rows,
              .norm = norm,
              .add = out.add});
  }
  pace();
}

void VulkanBackend::store(const KvRows& rows) {
  const bool index = layout_.shape.index > 0;
  struct {
    Address rows, pages, angles, latent, latent_weight, key, key_weight, key_bias;
    Number latent_stride, key_stride, layer_at;
    float eps, key_eps;
    Number unused;
  } push{batch_.rows_address(),
         batch_.pages_address(),
         batch_.angles_address(rows.rope),
         address(rows.latent),
         vector(rows.latent_norm.weight),
         index ? address(rows.index_key) : 0,
         vector(rows.index_norm.weight),
         vector(rows.index_norm.bias),
         stride(rows.latent),
         index ? stride(rows.index_key) : 0,
         Number(layout_.layer_bytes / 4 * rows.layer),
         rows.latent_norm.eps,
         rows.index_norm.eps,
         0};
  std::vector<Number> constants = cache_constants();
  constants.push_back(rows.index_pairs == RopePairs::half_split);
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::store, constants), push, {Number(rows.latent.rows)});
  pace();
}

// --- Indexer -----------------------------------------------------------------------------------

void VulkanBackend::select(const IndexQuery& query) {
  const int n = query.query.rows;
  kept_stride_ = 0;
  if (batch_.longest() <= query.top_k) return;
  kept_stride_ = 1 + query.top_k;
  reserve(kept_, std::size_t(n) * kept_stride_);
  const std::size_t tokens = std::bit_ceil(divide_up(batch_.longest(), kPageTokens)) * kPageTokens;
  const std::size_t per_row = tokens + query.heads * (1 + layout_.shape.index);
  const int group = static_cast<int>(std::clamp<std::size_t>(kScratchFloats / per_row, 1, n));
  for (int first = 0; first < n; first += group) {
    select_rows(query, first, std::min(group, n - first));
  }
}

void VulkanBackend::select_rows(const IndexQuery& query, int first, int n) {
  const Number heads = query.heads, index = layout_.shape.index;
  const Number pages = std::bit_ceil(divide_up(batch_.longest(), kPageTokens));
  const Number scores_stride = pages * kPageTokens;
  const std::size_t words = std::size_t(n) * heads * index;
  const Address turned = reserve(index_, words + n * (heads + scores_stride));
  const Address factors = turned + words * 4, scores = factors + std::size_t(n) * heads * 4;
  const Address rows = batch_.rows_address(first);
  const Tensor queries = query.query.slice(first, n), weights = query.weights.slice(first, n);
  std::vector<Number> constants = cache_constants();

  struct {
    Address rows, angles, query, weights, turned, factors;
    Number heads, query_stride, weights_stride;
    float weight_scale;
  } prepare{rows,
            batch_.angles_address(query.rope),
            address(queries),
            address(weights),
            turned,
            factors,
            heads,
            stride(queries),
            stride(weights),
            query.weight_scale};
  constants.push_back(query.pairs == RopePairs::half_split);
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::index_query, constants), prepare, {heads, Number(n)});

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
  for (int i = first; i < first + n; ++i) {
    const std::int64_t tokens = batch_.position(i) + 1;
    if (tokens <= query.top_k) continue;
    traffic_.cache_bytes += tokens * static_cast<std::int64_t>(layout_.key_bytes());
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
  const Number groups = divide_up(heads, kHeadGroup);
  const Number parts = std::min(std::bit_ceil(divide_up(kWorkgroups, n * groups)),
                                std::bit_ceil(divide_up(tokens, kTileTokens)));
  const std::size_t absorbed_floats = std::size_t(n) * heads * latent;
  const Address absorbed =
      reserve(attention_, absorbed_floats + std::size_t(n) * parts * heads * (4 + latent));
  const Address states = absorbed + absorbed_floats * 4;

  commands_.barrier();
  multiply({.weights = &k_b,
            .matrices = int(heads),
            .x = address(query),
            .y = absorbed,
            .x_stride = stride(query),
            .x_step = nope + rope,
            .y_stride = heads * latent,
            .y_step = latent,
            .n_rows = n});

  struct {
    Address rows, pages, angles, absorbed, query, kept, states;
    Number layer_at, heads, parts, query_stride, nope, kept_stride;
    float scale;
    Number unused;
  } attend{batch_.rows_address(first),
           batch_.pages_address(),
           batch_.angles_address(attention.rope),
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
  constants.insert(constants.end(), {selected, std::min<Number>(heads, kHeadGroup)});
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
  multiply({.weights = &v_b,
            .matrices = int(heads),
            .x = absorbed,
            .y = address(out),
            .x_stride = heads * latent,
            .x_step = latent,
            .y_stride = stride(out),
            .y_step = Number(v_b.rows),
            .n_rows = n});
  for (int i = first; i < first + n; ++i) {
    const std::int64_t read =
        selected ? std::min(batch_.position(i) + 1, kept_stride_ - 1) : batch_.position(i) + 1;
    traffic_.cache_bytes += read * static_cast<std::int64_t>(layout_.row_bytes());
    traffic_.operations += 2 * read * heads * (2 * latent + rope);
  }
  pace();
}

// --- Feed-forward ------------------------------------------------------------------------------

// hidden = silu(gate norm(x)) * (up norm(x)), for the rows of x.
void VulkanBackend::gate(const Tensor& x, const Norm& norm, const GatedFfn& ffn, Address hidden,
                         Number hidden_stride, const Choice* choice) {
  const Weights &gate = weights(ffn.gate), &up = weights(ffn.up);
  const int pairs = choice ? x.rows * choice->used : x.rows;
  const int tile = choice ? 1 : tile_for(pairs);
  struct {
    Address gate, up, codebook, x, norm, chosen, weights, hidden;
    Number columns, width, pairs, used, x_stride, hidden_stride;
    float eps;
    Number unused;
  } push{gate.slices,
         up.slices,
         codebook_.address,
         address(x),
         vector(norm.weight),
         choice ? choice->experts : 0,
         choice ? choice->weights : 0,
         hidden,
         Number(gate.columns),
         Number(gate.rows),
         Number(pairs),
         choice ? Number(choice->used) : 1,
         stride(x) / 4,
         hidden_stride,
         norm.eps,
         0};
  std::vector<Number> constants = format_constants(gate.type);
  constants.insert(constants.end(), {Number(tile), choice != nullptr});
  commands_.dispatch(pipelines_.get(Kernel::gate, constants), push,
                     {Number(gate.panels), divide_up(pairs, tile)});
  count(gate, choice ? pairs : 1, pairs);
  count(up, choice ? pairs : 1, pairs);
}

void VulkanBackend::feed_forward(const Tensor& x, const Norm& norm, const GatedFfn& ffn) {
  const Number width = padded(ffn.gate.rows);
  const Address hidden = reserve(ffn_, std::size_t(x.rows) * width);
  commands_.barrier();
  gate(x, norm, ffn, hidden, width, nullptr);
  commands_.barrier();
  multiply({.weights = &weights(ffn.down),
            .x = hidden,
            .y = address(x),
            .x_stride = width,
            .y_stride = stride(x),
            .n_rows = x.rows,
            .add = true});
  pace();
}

void VulkanBackend::mix_experts(const Tensor& x, const Norm& norm, const Router& router,
                                const GatedFfn& experts, const GatedFfn& shared) {
  const std::size_t n = x.rows, pairs = n * router.used;
  const Number n_experts = router.gate.rows, logits_stride = padded(n_experts);
  const Number width = padded(experts.gate.rows), shared_width = padded(shared.gate.rows);
  const Address logits =
      reserve(ffn_, n * logits_stride + padded(2 * pairs) + pairs * width + n * shared_width);
  const Address chosen = logits + n * logits_stride * 4;
  const Choice choice{chosen, chosen + pairs * 4, router.used};
  const Address hidden = chosen + padded(2 * pairs) * 4;
  const Address shared_hidden = hidden + pairs * width * 4;

  commands_.barrier();
  multiply({.weights = &weights(router.gate),
            .x = address(x),
            .y = logits,
            .x_stride = stride(x),
            .y_stride = logits_stride,
            .n_rows = x.rows,
            .norm = &norm});
  if (shared.gate) gate(x, norm, shared, shared_hidden, shared_width, nullptr);

  struct {
    Address logits, bias, chosen, weights;
    Number logits_stride, experts, used, groups, groups_used, has_bias;
    float scale;
    Number unused;
  } route{logits,
          vector(router.bias),
          choice.experts,
          choice.weights,
          logits_stride,
          n_experts,
          Number(router.used),
          Number(router.groups),
          Number(router.groups_used),
          bool(router.bias),
          router.scale,
          0};
  const Number constants[] = {router.gating == Gating::sigmoid, router.normalise};
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::route, constants), route, {Number(n)});
  commands_.barrier();
  gate(x, norm, experts, hidden, width, &choice);

  const Weights& down = weights(experts.down);
  struct {
    Address down, codebook, chosen, hidden, x;
    Number columns, dim, used, hidden_stride, x_stride, unused;
  } add{down.slices,
        codebook_.address,
        choice.experts,
        hidden,
        address(x),
        Number(down.columns),
        Number(down.rows),
        Number(router.used),
        width / 4,
        stride(x),
        0};
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::down, format_constants(down.type)), add,
                     {Number(down.panels), Number(n)});
  count(down, std::int64_t(pairs), std::int64_t(pairs));
  if (shared.gate) {
    commands_.barrier();
    multiply({.weights = &weights(shared.down),
              .x = shared_hidden,
              .y = address(x),
              .x_stride = shared_width,
              .y_stride = stride(x),
              .n_rows = x.rows,
              .add = true});
  }
  pace();
}

// --- Rows --------------------------------------------------------------------------------------

void VulkanBackend::narrow(const Tensor& x, std::span<const int> rows) {
  commands_.barrier();
  struct {
    Address x, rows;
    Number n, width, stride, unused;
  } push{address(x), batch_.narrow(rows), Number(rows.size()), Number(x.width), stride(x), 0};
  commands_.dispatch(pipelines_.get(Kernel::copy_rows, {}), push, {divide_up(x.width, 64)});
}

void VulkanBackend::read(const Tensor& x, std::span<float> out) {
  assert(out.size() == static_cast<std::size_t>(x.rows) * x.width);
  const std::size_t row = stride(x) * sizeof(float);
  const Region copy = readback(x.rows * row);
  commands_.barrier();
  commands_.copy(tensors_[x.id].region.part(x.first * row, x.rows * row), copy);
  commands_.finish();
  for (int i = 0; i < x.rows; ++i) {
    std::memcpy(out.data() + std::size_t(i) * x.width, copy.mapped + i * row,
                x.width * sizeof(float));
  }
}

}  // namespace corvid::model
