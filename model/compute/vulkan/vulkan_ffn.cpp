// feed_forward and mix_experts of VulkanBackend.
//
// A pair is a row and one of its experts. Few rows: every pair reads its expert's weights. A large
// batch: pairs are grouped by expert, and a tile of them reads the weights once.
#include <algorithm>

#include "model/compute/vulkan/sizes.h"
#include "model/compute/vulkan/vulkan_backend.h"
#include "model/error.h"

namespace corvid::model {
namespace {

using Address = VkDeviceAddress;
using Number = std::uint32_t;

// Hands out parts of scratch memory; measures first, with address 0.
class Layout {
 public:
  explicit Layout(Address from) : from_(from) {}
  Address take(std::size_t floats) {
    const Address at = from_ + floats_ * 4;
    floats_ += padded(floats);
    return at;
  }
  std::size_t floats() const { return floats_; }

 private:
  Address from_;
  std::size_t floats_ = 0;
};

}  // namespace

// hidden = silu(gate norm(x)) * (up norm(x)), for the rows of x or for the pairs of a choice.
void VulkanBackend::gate(const Tensor& x, const Norm& norm, const GatedFfn& ffn, Address hidden,
                         const Choice* choice) {
  const Weights &gate = weights(ffn.gate), &up = weights(ffn.up);
  if (gate.type != up.type) {
    throw ModelError("the GPU multiplies gate and up matrices of one type; this model's differ");
  }
  const bool grouped = choice && choice->n_tiles > 0;
  const int pairs = choice ? x.rows * choice->used : x.rows;
  const int tile = grouped ? kTileRows : choice ? 1 : tile_for(pairs);
  struct {
    Address gate, up, codebook, x, norm, chosen, weights, order, tiles, hidden;
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
         choice ? choice->order : 0,
         choice ? choice->tiles : 0,
         hidden,
         Number(gate.columns),
         Number(gate.rows),
         Number(pairs),
         choice ? Number(choice->used) : 1,
         stride(x) / 4,
         padded(gate.rows),
         norm.eps,
         0};
  std::vector<Number> constants = format_constants(gate.type);
  constants.insert(constants.end(), {Number(tile), choice != nullptr, grouped});
  const Number tiles = grouped ? choice->n_tiles : divide_up(pairs, tile);
  commands_.dispatch(pipelines_.get(Kernel::gate, constants), push, {Number(gate.panels), tiles});
  count(gate, choice ? tiles : 1, pairs);
  count(up, choice ? tiles : 1, pairs);
}

// x += ffn.down hidden
void VulkanBackend::add_down(const Tensor& x, const GatedFfn& ffn, Address hidden) {
  multiply({.targets = {Target{&weights(ffn.down), address(x), stride(x)}},
            .x = hidden,
            .x_stride = padded(ffn.gate.rows),
            .n_rows = x.rows,
            .add = true});
}

void VulkanBackend::feed_forward(const Tensor& x, const Norm& norm, const GatedFfn& ffn) {
  const Address hidden = reserve(ffn_, std::size_t(x.rows) * padded(ffn.gate.rows));
  commands_.barrier();
  gate(x, norm, ffn, hidden, nullptr);
  commands_.barrier();
  add_down(x, ffn, hidden);
  pace();
}

void VulkanBackend::mix_experts(const Tensor& x, const Norm& norm, const Router& router,
                                const GatedFfn& experts, const GatedFfn& shared) {
  const std::size_t n = x.rows, pairs = n * router.used;
  const bool grouped = x.rows > kLargeBatch;
  const Number n_tiles =
      grouped ? std::min<Number>(pairs, pairs / kTileRows + router.gate.rows) : 0;
  Address logits = 0, hidden = 0, shared_hidden = 0, products = 0;
  Choice choice{.used = router.used, .n_tiles = n_tiles};
  const auto lay_out = [&](Layout layout) {
    logits = layout.take(n * padded(router.gate.rows));
    choice.experts = layout.take(pairs);
    choice.weights = layout.take(pairs);
    choice.order = layout.take(grouped ? pairs : 0);
    choice.tiles = layout.take(std::size_t(n_tiles) * 4);
    hidden = layout.take(pairs * padded(experts.gate.rows));
    shared_hidden = layout.take(n * padded(shared.gate.rows));
    products = layout.take(grouped ? pairs * padded(x.width) : 0);
    return layout.floats();
  };
  lay_out(Layout(reserve(ffn_, lay_out(Layout(0)))));

  commands_.barrier();
  multiply({.targets = {Target{&weights(router.gate), logits, padded(router.gate.rows)}},
            .x = address(x),
            .x_stride = stride(x),
            .n_rows = x.rows,
            .norm = &norm});
  if (shared.gate) gate(x, norm, shared, shared_hidden, nullptr);
  commands_.barrier();
  choose(router, logits, x.rows, choice);
  commands_.barrier();
  gate(x, norm, experts, hidden, &choice);
  commands_.barrier();
  add_experts(x, experts.down, hidden, products, choice);
  if (shared.gate) {
    commands_.barrier();
    add_down(x, shared, shared_hidden);
  }
  pace();
}

// The experts of every row, and in a large batch the pairs of every expert.
void VulkanBackend::choose(const Router& router, Address logits, int n, const Choice& choice) {
  const Number experts = router.gate.rows;
  struct {
    Address logits, bias, chosen, weights;
    Number logits_stride, experts, used, groups, groups_used, has_bias;
    float scale;
    Number unused;
  } route{logits,
          vector(router.bias),
          choice.experts,
          choice.weights,
          padded(experts),
          experts,
          Number(router.used),
          Number(router.groups),
          Number(router.groups_used),
          bool(router.bias),
          router.scale,
          0};
  const Number constants[] = {router.gating == Gating::sigmoid, router.normalise};
  commands_.dispatch(pipelines_.get(Kernel::route, constants), route, {Number(n)});
  if (choice.n_tiles == 0) return;
  struct {
    Address chosen, order, tiles;
    Number pairs, experts, n_tiles, unused;
  } group{choice.experts,
          choice.order,
          choice.tiles,
          Number(n * choice.used),
          experts,
          choice.n_tiles,
          0};
  const Number tile = kTileRows;
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::group_pairs, {&tile, 1}), group, {1});
}

// x[row] += the sum of what the row's experts make of `hidden`, in the order of the choice.
void VulkanBackend::add_experts(const Tensor& x, const Matrix& matrix, Address hidden,
                                Address products, const Choice& choice) {
  const Weights& down = weights(matrix);
  const Number hidden_stride = padded(down.columns) / 4;
  const std::int64_t pairs = std::int64_t{x.rows} * choice.used;
  std::vector<Number> constants = format_constants(down.type);
  count(down, choice.n_tiles > 0 ? choice.n_tiles : pairs, pairs);
  if (choice.n_tiles == 0) {
    struct {
      Address down, codebook, chosen, hidden, x;
      Number columns, dim, used, hidden_stride, x_stride, unused;
    } push{down.slices,
           codebook_.address,
           choice.experts,
           hidden,
           address(x),
           Number(down.columns),
           Number(down.rows),
           Number(choice.used),
           hidden_stride,
           stride(x),
           0};
    commands_.dispatch(pipelines_.get(Kernel::down, constants), push,
                       {Number(down.panels), Number(x.rows)});
    return;
  }
  struct {
    Address down, codebook, order, tiles, hidden, y;
    Number columns, dim, hidden_stride, y_stride;
  } push{down.slices, codebook_.address,    choice.order,      choice.tiles,  hidden,
         products,    Number(down.columns), Number(down.rows), hidden_stride, padded(x.width)};
  constants.push_back(kTileRows);
  commands_.dispatch(pipelines_.get(Kernel::down_pairs, constants), push,
                     {Number(down.panels), choice.n_tiles});
  struct {
    Address y, x;
    Number dim, used, y_stride, x_stride;
  } add{products, address(x), Number(x.width), Number(choice.used), padded(x.width), stride(x)};
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::add_pairs, {}), add,
                     {divide_up(x.width, 64), Number(x.rows)});
}

}  // namespace corvid::model
