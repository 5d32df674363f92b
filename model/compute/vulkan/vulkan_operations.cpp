// Operations of VulkanBackend: which kernels, on what, in which order. See also
// vulkan_attention.cpp and vulkan_ffn.cpp.
#include <cassert>
#include <cstring>

#include "model/compute/cpu/panels.h"
#include "model/compute/vulkan/sizes.h"
#include "model/compute/vulkan/vulkan_backend.h"

namespace corvid::model {
namespace {

using Address = VkDeviceAddress;
using Number = std::uint32_t;

constexpr std::size_t kListAhead = 64;  // commands of a large batch before they are submitted

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
  traffic_.bus_bytes += static_cast<std::int64_t>(batch_.bytes());
}

void VulkanBackend::embed(const Matrix& table, const Tensor& x) {
  struct {
    Address table, codebook, rows, x;
    Number columns, x_stride;
  } push{weights(table).slices,          codebook_.address, batch_.rows_address(), address(x),
         Number(weights(table).columns), stride(x) / 4};
  commands_.dispatch(pipelines_.get(Kernel::embed, format_constants(weights(table).type)), push,
                     {divide_up(weights(table).columns, 4 * 64), Number(x.rows)});
  traffic_.weight_bytes += x.rows * static_cast<std::int64_t>(weights(table).panel_bytes) / 16;
}

void VulkanBackend::multiply(const Product& product) {
  const Weights& w = *product.targets[0].weights;
  const int tile = tile_for(product.n_rows);
  std::vector<Number> constants = format_constants(w.type);
  constants.insert(constants.end(), {Number(tile), product.norm != nullptr, product.add});
  struct {
    Address weights[3], y[3], codebook, x, norm;
    Number rows[3], y_stride[3];
    Number columns, n_rows, x_stride, x_step, y_step;
    float eps;
  } push{.codebook = codebook_.address,
         .x = product.x,
         .norm = product.norm ? vector(product.norm->weight) : 0,
         .columns = Number(w.columns),
         .n_rows = Number(product.n_rows),
         .x_stride = product.x_stride / 4,
         .x_step = product.x_step / 4,
         .y_step = product.y_step,
         .eps = product.norm ? product.norm->eps : 0};
  Number panels = 0;
  for (int i = 0; i < 3 && product.targets[i].weights; ++i) {
    const Target& target = product.targets[i];
    push.weights[i] = target.weights->slices;
    push.y[i] = target.y;
    push.rows[i] = Number(target.weights->rows);
    push.y_stride[i] = target.y_stride;
    panels += target.weights->panels;
    count(*target.weights, product.matrices, std::int64_t{product.n_rows} * product.matrices);
  }
  commands_.dispatch(pipelines_.get(Kernel::multiply, constants), push,
                     {panels, divide_up(product.n_rows, tile), Number(product.matrices)});
}

// Up to three neighbours of one format are multiplied at once.
void VulkanBackend::project(const Tensor& x, const Norm* norm, std::span<const Projection> outs) {
  commands_.barrier();
  for (std::size_t i = 0; i < outs.size();) {
    Product product{
        .x = address(x), .x_stride = stride(x), .n_rows = x.rows, .norm = norm, .add = outs[i].add};
    const Type type = weights(outs[i].weight).type;
    for (int n = 0; n < 3 && i < outs.size(); ++n, ++i) {
      const Projection& out = outs[i];
      assert(out.weight.columns == x.width && out.weight.rows == out.out.width);
      assert(!norm || !norm->bias);
      if (weights(out.weight).type != type || out.add != product.add) break;
      product.targets[n] = {&weights(out.weight), address(out.out), stride(out.out)};
    }
    multiply(product);
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
  traffic_.bus_bytes += static_cast<std::int64_t>(x.rows * row);
  commands_.barrier();
  commands_.copy(tensors_[x.id].region.part(x.first * row, x.rows * row), copy);
  commands_.finish();
  for (int i = 0; i < x.rows; ++i) {
    std::memcpy(out.data() + std::size_t(i) * x.width, copy.mapped + i * row,
                x.width * sizeof(float));
  }
}

}  // namespace corvid::model
