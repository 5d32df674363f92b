// Operations of VulkanBackend: which kernels, on what, in which order. See also
// vulkan_attention.cpp and vulkan_ffn.cpp.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "model/compute/cpu/panels.h"
#include "model/compute/vulkan/sizes.h"
#include "model/compute/vulkan/vulkan_backend.h"
#include "model/error.h"

namespace corvid::model {
namespace {

using Address = VkDeviceAddress;
using Number = std::uint32_t;

constexpr std::size_t kListAhead = 64;  // commands of a large batch before they are submitted

}  // namespace

// Constants 0 to 15 of kernels that read weights; see weights.glsl.
std::vector<Number> VulkanBackend::format_constants(Type type, Type other) const {
  constexpr Number kNone = 4;
  std::vector<Number> constants;
  const auto add = [&constants](Type t) {
    if (!is_quantized(t)) {
      const Number plain = t == Type::f32 ? 1 : t == Type::f16 ? 2 : 3;
      constants.insert(constants.end(), {plain, 0, 0, 32, 128, 0, 0, 0});
      return;
    }
    const PanelFormat f = panel_format(t);
    constants.insert(
        constants.end(),
        {0, static_cast<Number>(f.code.bits), static_cast<Number>(f.scales),
         static_cast<Number>(f.group), static_cast<Number>(f.code.zero),
         static_cast<Number>(static_cast<int>(f.code.table) + 1),
         static_cast<Number>(f.head_bytes() / 4), static_cast<Number>(f.block_bytes() / 4)});
  };
  add(type);
  if (other != type) {
    add(other);
  } else {
    constants.insert(constants.end(), {kNone, 8, 0, 32, 128, 0, 0, 0});
  }
  return constants;
}

// Constants 0 to 7 of kernels that know the cache; see cache.glsl.
std::vector<Number> VulkanBackend::cache_constants() const {
  const KvShape& shape = layout_.shape;
  return {layout_.exact_rows,
          layout_.exact_keys,
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
  if (batch_.longest() > kAngles * kAngles) {
    throw ModelError("the GPU takes contexts of up to " + std::to_string(kAngles * kAngles) +
                     " tokens");
  }
}

void VulkanBackend::embed(const Matrix& table, const Tensor& x) {
  struct {
    Address table, codebook, rows, x;
    Number columns, x_stride;
  } push{weights(table).slices,          codebook_.address, batch_.rows_address(), address(x),
         Number(weights(table).columns), stride(x) / 4};
  const Type type = weights(table).type;
  commands_.dispatch(pipelines_.get(Kernel::embed, format_constants(type, type)), push,
                     {divide_up(weights(table).columns, 4 * 64), Number(x.rows)});
  const std::int64_t bytes = x.rows * static_cast<std::int64_t>(weights(table).panel_bytes) / 16;
  traffic_.weight_bytes += bytes;
  traffic_.ideal_bytes += bytes;
  count_floats(std::int64_t{x.rows} * x.width);
}

void VulkanBackend::multiply(const Product& product) {
  const Type type = product.targets[0].weights->type;
  const bool tiled = product.n_rows > kLargeBatch;
  const int tile = tiled ? kWideTile : tile_for(product.n_rows);
  const Number row_tiles = divide_up(product.n_rows, tile);
  struct {
    Address weights[4], y[4], codebook, x, norm;
    Number rows[4], n_first;
    Number columns, n_rows, x_stride, x_step;
    float eps;
  } push{.codebook = codebook_.address,
         .x = product.x,
         .norm = product.norm ? vector(product.norm->weight) : 0,
         .columns = Number(product.targets[0].weights->columns),
         .n_rows = Number(product.n_rows),
         .x_stride = product.x_stride / 4,
         .x_step = product.x_step / 4,
         .eps = product.norm ? product.norm->eps : 0};
  Number groups = 0;
  Type other = type;
  for (std::size_t i = 0; i < product.targets.size() && product.targets[i].weights; ++i) {
    const Target& target = product.targets[i];
    push.weights[i] = target.weights->slices;
    push.y[i] = target.y;
    push.rows[i] = Number(target.weights->rows);
    push.n_first += target.weights->type == type;
    if (target.weights->type != type) other = target.weights->type;
    groups += tiled ? divide_up(target.weights->rows, kTiledRows) : target.weights->panels;
    const std::int64_t rows = std::int64_t{product.n_rows} * product.matrices;
    count(*target.weights, product.matrices, rows, row_tiles);
    count_floats(rows * target.weights->rows * (product.add ? 2 : 1));
  }
  count_floats(std::int64_t{product.n_rows} * product.matrices * push.columns);
  if (product.norm) count_floats(push.columns);
  std::vector<Number> constants = format_constants(type, other);
  constants.insert(constants.end(), {Number(tile), product.norm != nullptr, product.add});
  const Kernel kernel = tiled ? Kernel::multiply_tiled : Kernel::multiply;
  commands_.dispatch(pipelines_.get(kernel, constants), push,
                     {groups, row_tiles, Number(product.matrices)});
}

// Up to four of at most two formats are multiplied at once.
void VulkanBackend::project(const Tensor& x, const Norm* norm, std::span<const Projection> outs) {
  assert(!norm || !norm->bias);
  std::vector<Projection> sorted(outs.begin(), outs.end());
  std::ranges::stable_sort(sorted, {},
                           [this](const Projection& p) { return weights(p.weight).type; });
  commands_.barrier();
  for (std::size_t i = 0; i < sorted.size();) {
    Product product{.x = address(x),
                    .x_stride = stride(x),
                    .n_rows = x.rows,
                    .norm = norm,
                    .add = sorted[i].add};
    int formats = 0;
    for (std::size_t n = 0; n < product.targets.size() && i < sorted.size(); ++n, ++i) {
      const Projection& out = sorted[i];
      const Weights& w = weights(out.weight);
      assert(w.columns == x.width && w.rows == out.out.width);
      formats += n == 0 || w.type != product.targets[n - 1].weights->type;
      if (formats > 2 || out.add != product.add) break;
      product.targets[n] = {&w, address(out.out)};
    }
    multiply(product);
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
  count_floats(2 * std::int64_t{push.n} * x.width);
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

void VulkanBackend::draw(const Tensor& logits, int first_row, std::span<const Draw> draws,
                         std::span<Token> out) {
  assert(draws.size() == out.size() && draws.size() <= static_cast<std::size_t>(logits.rows));
  draws_.begin(draws, logits.width);
  batch_.expect_draws(first_row, static_cast<int>(draws.size()));
  struct {
    Address logits, draws, tokens, rows;
    Number stride, unused;
  } push{.logits = address(logits),
         .draws = draws_.draws_address(),
         .tokens = draws_.tokens_address(),
         .rows = batch_.rows_address(first_row),
         .stride = stride(logits)};
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::draw, {}), push, {Number(draws.size())});
  constexpr int kBesideLogits = 16;  // how to draw, the token, what goes on
  count_floats(std::int64_t{push.stride + kBesideLogits} * std::ssize(draws));
  traffic_.bus_down_bytes += static_cast<std::int64_t>(out.size_bytes());
  commands_.finish();
  std::ranges::copy(draws_.finish(), out.begin());
  batch_.learn_draws(first_row, out);
}

}  // namespace corvid::model
