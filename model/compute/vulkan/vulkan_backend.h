// The Vulkan back end: weights in panels on the device, one kernel per operation.
//
// The kernels (kernels/*.comp) say what each operation computes and how it is shared out. Weights
// lie in the panels that the CPU reads, KV pages in the CPU's layout. Operations append to a list
// of commands that is submitted by read() and draw(), or on the way when a batch is large. Tokens,
// positions and pages lie on the device, which moves them on by itself while it decodes.
// Sums are taken in a fixed order: the same calls give the same bits.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "model/compute/backend.h"
#include "model/compute/cpu/threads.h"
#include "model/compute/gpu_options.h"
#include "model/compute/kv_layout.h"
#include "model/compute/vulkan/batch_memory.h"
#include "model/compute/vulkan/draw_memory.h"
#include "model/compute/vulkan/staging.h"

namespace corvid::model {

class CpuBackend;

struct VulkanOptions {
  int device = 0;
  int threads = 0;  // that prepare weights for the way up; 0: one per core
  Precision precision = Precision::exact;
  std::int64_t memory_bytes = 0;  // see GpuOptions
  int expert_layers = kAllExperts;
  WeightBytes weights;  // of the model, for kExpertsThatFit
  std::string cache_folder;
  Abilities abilities;
  RewriteKernel rewrite;
};

class VulkanBackend : public Backend {
 public:
  explicit VulkanBackend(const VulkanOptions& options);
  ~VulkanBackend() override;

  std::string description() const override;
  int expert_layers() const { return expert_layers_; }  // see GpuOptions
  Matrix add_matrix(const TensorView& tensor) override;
  Matrix add_router(const TensorView& tensor) override;
  Matrix add_experts(const TensorView& tensor) override;
  Matrix add_table(const TensorView& tensor) override;
  Vector add_vector(const TensorView& tensor) override;
  Tensor add_tensor(int rows, int width) override;
  Rope add_rope(std::span<const double> frequencies) override;

  void set_kv_shape(const KvShape& shape) override;
  void reserve_pages(int n_pages) override;
  void copy_page(int from, int to) override;
  std::string cache_format() const override { return layout_.format(); }
  std::size_t page_bytes(int n_tokens) const override { return layout_.bytes(n_tokens); }
  void read_page(int page, int n_tokens, std::byte* out) override;
  void write_page(int page, int n_tokens, const std::byte* in) override;

  void begin(const Batch& batch) override;
  void embed(const Matrix& table, const Tensor& x) override;
  void project(const Tensor& x, const Norm* norm, std::span<const Projection> outs) override;
  void store(const KvRows& rows) override;
  void select(const IndexQuery& query) override;
  void store_and_select(const KvRows& rows, const IndexQuery& query) override;
  void attend(const LatentAttention& attention) override;
  void feed_forward(const Tensor& x, const Norm& norm, const GatedFfn& ffn) override;
  void mix_experts(const Tensor& x, const Norm& norm, const Router& router, const GatedFfn& experts,
                   const GatedFfn& shared) override;
  void narrow(const Tensor& x, std::span<const int> rows) override;
  void read(const Tensor& x, std::span<float> out) override;
  void draw(const Tensor& logits, int first_row, std::span<const Draw> draws,
            std::span<Token> out) override;

  Traffic traffic() const override;
  std::vector<int> selection(int row) override;

 private:
  struct Weights {
    VkDeviceAddress slices = 0;  // of the addresses of its matrices
    Type type = Type::f32;
    int columns = 0, rows = 0, panels = 0;
    std::size_t panel_bytes = 0;
    Matrix on_cpu;  // of experts that lie there, and of their router
  };
  struct Activations {
    VkDeviceAddress address = 0;
    Region region;
    std::uint32_t stride = 0;  // in floats
  };
  struct Choice {                              // of experts, by the router
    VkDeviceAddress experts = 0, weights = 0;  // [n][used]
    VkDeviceAddress order = 0, tiles = 0;      // of a large batch: see group_pairs.comp
    int used = 0;
    std::uint32_t n_tiles = 0;  // 0: not grouped
  };
  // One or more matrices times rows of input, without the kernel's tiling.
  struct Target {
    const Weights* weights = nullptr;
    VkDeviceAddress y = 0;  // rows of padded(matrices * rows) floats
  };
  struct Product {
    std::array<Target, 4> targets;  // of as many columns and one format or two, the first's first
    int matrices = 1;
    VkDeviceAddress x = 0;
    std::uint32_t x_stride = 0, x_step = 0;  // in floats
    int n_rows = 0;
    const Norm* norm = nullptr;
    bool add = false;
  };

  Region upload(const TensorView& tensor, int first_matrix, int n_matrices, Type type);
  const Weights& weights(const Matrix& m) const { return matrices_[m.id]; }
  VkDeviceAddress address(const Tensor& t) const;
  std::uint32_t stride(const Tensor& t) const { return tensors_[t.id].stride; }
  VkDeviceAddress vector(const Vector& v) const { return v ? vectors_[v.id].address : 0; }
  VkDeviceAddress angles(const Rope& rope) const { return ropes_[rope.id].address; }
  std::vector<std::uint32_t> format_constants(Type type, Type other) const;
  std::vector<std::uint32_t> cache_constants() const;
  VkDeviceAddress reserve(Scratch& scratch, std::size_t floats);
  Region readback(std::size_t bytes);
  // Matrices that are read `times` times, once for each tile of rows.
  void count(const Weights& w, std::int64_t matrices, std::int64_t rows, std::int64_t times = 1);
  void count_cache(std::int64_t bytes, std::int64_t ideal_bytes);
  void count_floats(std::int64_t n) { traffic_.activation_bytes += 4 * n; }
  void pace();

  void multiply(const Product& product);
  void attend_rows(const LatentAttention& attention, int first, int n);
  int plan_selection(const IndexQuery& query);
  void keep_rows(const KvRows* rows, const IndexQuery* query, int first, int n);
  void select_rows(const KvRows* rows, const IndexQuery& query, int first, int n);
  void gate(const Tensor& x, const Norm& norm, const GatedFfn& ffn, VkDeviceAddress hidden,
            const Choice* choice, const GatedFfn* shared = nullptr);
  void gate_tiled(const Tensor& x, const Norm& norm, const GatedFfn& ffn, VkDeviceAddress hidden,
                  const Choice* choice);
  void add_down(const Tensor& x, const GatedFfn& ffn, VkDeviceAddress hidden);
  void mix_experts_on_cpu(const Tensor& x, const Norm& norm, const Router& router,
                          const GatedFfn& experts, const GatedFfn& shared);
  int layers_with_experts() const;
  void add_from_cpu(const Tensor& x, std::span<const float> values);
  void choose(const Router& router, VkDeviceAddress logits, int n, const Choice& choice);
  void add_experts(const Tensor& x, const Matrix& matrix, const Matrix* shared,
                   VkDeviceAddress hidden, const Choice& choice);
  void add_grouped_experts(const Tensor& x, const Matrix& matrix, VkDeviceAddress hidden,
                           VkDeviceAddress products, const Choice& choice);

  Device device_;
  Pipelines pipelines_;
  Precision precision_;
  Arena weights_memory_, rows_memory_, pages_memory_;
  Scratch attention_, index_, kept_, ffn_;  // of the operation in progress; kept_: of select()
  std::unique_ptr<Buffer> readback_, from_cpu_;
  Commands commands_;
  Staging staging_;
  Team team_;
  BatchMemory batch_;
  DrawMemory draws_;

  std::vector<Weights> matrices_;
  Matrix table_;  // may be asked for as a matrix, too
  const std::byte* table_data_ = nullptr;
  std::vector<Region> vectors_, ropes_;
  std::vector<Activations> tensors_;
  KvLayout layout_;
  std::vector<Region> pages_;
  Region codebook_;
  Traffic traffic_;
  int kept_stride_ = 0;  // 0: the last select() kept everything

  // Routed experts that do not lie on the device; see vulkan_experts.cpp.
  int expert_layers_, experts_added_ = 0, layers_on_cpu_ = 0;
  std::unique_ptr<CpuBackend> cpu_;
  std::vector<Vector> vectors_on_cpu_;
  Tensor rows_on_cpu_;
};

}  // namespace corvid::model
