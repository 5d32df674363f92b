#include "model/compute/vulkan/vulkan_backend.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <thread>

#include "model/compute/cpu/cpu_backend.h"
#include "model/compute/cpu/packed_matrix.h"
#include "model/compute/vulkan/sizes.h"
#include "model/error.h"

namespace corvid::model {
namespace {

constexpr std::size_t kPieceBytes = 16 << 20;  // of a file's tensor that is packed at a time
constexpr int kMostLatent = 1024;              // with the rotated key: what store.comp holds, or
                                               // an index key

int threads_or_cores(int threads) {
  return threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
}

// Rows [first, first + n) of one matrix of a tensor.
TensorView rows_of(const TensorView& tensor, std::int64_t matrix, std::int64_t first,
                   std::int64_t n) {
  const std::size_t bytes = row_bytes(tensor.type, tensor.ne[0]);
  const std::int64_t rows = tensor.ne.size() > 1 ? tensor.ne[1] : 1;
  return {.name = tensor.name,
          .type = tensor.type,
          .ne = {tensor.ne[0], n},
          .data = tensor.data + (matrix * rows + first) * bytes,
          .bytes = n * bytes};
}

std::size_t bytes_per_panel(Type type, int columns) {
  if (is_quantized(type)) return panel_format(type).panel_bytes(columns);
  return std::size_t(columns) * kPanelRows * (type == Type::f32 ? 4 : 2);
}

}  // namespace

VulkanBackend::VulkanBackend(const VulkanOptions& options)
    : device_(options.device, static_cast<VkDeviceSize>(options.memory_bytes), options.abilities),
      pipelines_(device_, options.cache_folder, options.rewrite),
      precision_(options.precision),
      weights_memory_(device_, "weights"),
      rows_memory_(device_, "activations"),
      pages_memory_(device_, "the KV cache"),
      attention_(device_),
      index_(device_),
      kept_(device_),
      ffn_(device_),
      commands_(device_, pipelines_),
      staging_(device_, commands_),
      team_(threads_or_cores(options.threads)),
      batch_(device_, commands_),
      draws_(device_, commands_),
      expert_layers_(options.expert_layers == kExpertsThatFit
                         ? options.weights.layers_that_fit(device_.budget_bytes())
                         : options.expert_layers) {
  if (expert_layers_ != kAllExperts) {
    cpu_ = std::make_unique<CpuBackend>(
        CpuOptions{.threads = options.threads, .precision = options.precision});
  }
  const std::span grid(iq2_xxs_grid(), 256);
  codebook_ = weights_memory_.take(grid.size_bytes());
  staging_.write(codebook_, std::as_bytes(grid));
}

VulkanBackend::~VulkanBackend() {
  try {
    commands_.wait();
  } catch (const ModelError&) {  // a lost device ends here, too
  }
}

std::string VulkanBackend::description() const {
  std::string text = "vulkan:" + std::to_string(device_.info().index) + " " + device_.info().name;
  if (cpu_) {
    text += ", routed experts of " + std::to_string(layers_with_experts() - layers_on_cpu_) +
            " of " + std::to_string(layers_with_experts()) + " layers there";
  }
  return text;
}

// --- Memory ------------------------------------------------------------------------------------

// Matrices side by side, packed a piece at a time.
Region VulkanBackend::upload(const TensorView& tensor, int first_matrix, int n_matrices,
                             Type type) {
  const int columns = static_cast<int>(tensor.ne[0]), rows = static_cast<int>(tensor.ne[1]);
  const std::size_t panel_bytes = bytes_per_panel(type, columns);
  const std::size_t panels = (rows + kPanelRows - 1) / kPanelRows;
  const Region region = weights_memory_.take(n_matrices * panels * panel_bytes);
  const std::size_t piece = std::max<std::size_t>(1, kPieceBytes / panel_bytes) * kPanelRows;
  VkDeviceSize at = 0;
  for (int m = 0; m < n_matrices; ++m) {
    for (std::int64_t first = 0; first < rows; first += static_cast<std::int64_t>(piece)) {
      const std::int64_t n = std::min<std::int64_t>(piece, rows - first);
      const PackedMatrix packed(rows_of(tensor, first_matrix + m, first, n), type, team_);
      const std::size_t bytes = packed.panels() * packed.panel_bytes();
      staging_.write(region.part(at, bytes), {packed.panel(0, 0), bytes});
      at += bytes;
    }
  }
  return region;
}

Matrix VulkanBackend::add_matrix(const TensorView& tensor) {
  const auto rows = static_cast<int>(tensor.ne.size() > 1 ? tensor.ne[1] : 1);
  const auto count = static_cast<int>(tensor.ne.size() > 2 ? tensor.ne[2] : 1);
  const int columns = static_cast<int>(tensor.ne[0]);
  const Matrix matrix{static_cast<int>(matrices_.size()), tensor.type, columns, rows, count};
  if (tensor.data == table_data_) {
    Matrix same = matrix;
    same.id = table_.id;
    return same;
  }
  if (columns % 4 != 0) {
    throw ModelError("tensor '" + tensor.name + "' has " + std::to_string(columns) +
                     " columns; the GPU multiplies multiples of four");
  }
  const Type type = precision_ == Precision::exact ? Type::f32 : tensor.type;
  Weights made{.type = type, .columns = columns, .rows = rows};
  made.panels = (rows + kPanelRows - 1) / kPanelRows;
  made.panel_bytes = bytes_per_panel(type, columns);
  // As many matrices in one allocation as a device permits.
  const VkDeviceSize bytes = made.panels * made.panel_bytes;
  const int together =
      static_cast<int>(std::clamp<VkDeviceSize>(device_.largest_allocation() / bytes, 1, count));
  std::vector<VkDeviceAddress> slices;
  for (int m = 0; m < count; m += together) {
    const Region region = upload(tensor, m, std::min(together, count - m), type);
    for (int i = 0; i < std::min(together, count - m); ++i) {
      slices.push_back(region.address + i * bytes);
    }
  }
  const Region list = weights_memory_.take(slices.size() * sizeof(VkDeviceAddress));
  staging_.write(list, std::as_bytes(std::span(slices)));
  made.slices = list.address;
  matrices_.push_back(made);
  return matrix;
}

Matrix VulkanBackend::add_table(const TensorView& tensor) {
  table_ = add_matrix(tensor);
  table_data_ = tensor.data;
  return table_;
}

Vector VulkanBackend::add_vector(const TensorView& tensor) {
  std::vector<float> values(tensor.elements());
  dequantize_row(tensor.type, tensor.data, values);
  vectors_.push_back(weights_memory_.take(values.size() * sizeof(float)));
  staging_.write(vectors_.back(), std::as_bytes(std::span(values)));
  if (cpu_) vectors_on_cpu_.push_back(cpu_->add_vector(tensor));
  return {static_cast<int>(vectors_.size()) - 1, static_cast<int>(values.size())};
}

Tensor VulkanBackend::add_tensor(int rows, int width) {
  const std::uint32_t stride = padded(width);
  const Region region = rows_memory_.take(std::size_t(rows) * stride * sizeof(float));
  tensors_.push_back({region.address, region, stride});
  return {static_cast<int>(tensors_.size()) - 1, 0, rows, width};
}

// cos, sin of the angles at positions 0, 1, ... and at 0, kAngles, 2 kAngles, ..., of which a
// kernel puts those of a position together. What a device makes of cos() itself may be off by
// 2^-11.
Rope VulkanBackend::add_rope(std::span<const double> frequencies) {
  std::vector<float> angles;
  for (int step : {1, kAngles}) {
    for (int i = 0; i < kAngles; ++i) {
      for (double frequency : frequencies) {
        const double angle = static_cast<double>(i) * step * frequency;
        angles.push_back(static_cast<float>(std::cos(angle)));
        angles.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }
  ropes_.push_back(weights_memory_.take(angles.size() * sizeof(float)));
  staging_.write(ropes_.back(), std::as_bytes(std::span(angles)));
  return {static_cast<int>(ropes_.size()) - 1, static_cast<int>(2 * frequencies.size())};
}

void VulkanBackend::set_kv_shape(const KvShape& shape) {
  if (shape.latent + shape.rope > kMostLatent || shape.latent % 4 != 0 || shape.rope % 4 != 0) {
    throw ModelError("the GPU attends over latents and rotated keys of together up to " +
                     std::to_string(kMostLatent) +
                     " values, each a multiple of four; this model's have " +
                     std::to_string(shape.latent) + " and " + std::to_string(shape.rope));
  }
  if (shape.index > kMostLatent) {
    throw ModelError("the GPU takes index keys of up to " + std::to_string(kMostLatent) +
                     " values; this model's have " + std::to_string(shape.index));
  }
  layout_ = KvLayout(shape, precision_);
}

void VulkanBackend::reserve_pages(int n_pages) {
  while (static_cast<int>(pages_.size()) < n_pages) {
    pages_.push_back(pages_memory_.take(layout_.page_bytes()));
  }
}

void VulkanBackend::copy_page(int from, int to) {
  commands_.barrier();
  commands_.copy(pages_[from], pages_[to]);
  commands_.barrier();
}

void VulkanBackend::read_page(int page, int n_tokens, std::byte* out) {
  const Region copy = readback(layout_.page_bytes());
  commands_.barrier();
  commands_.copy(pages_[page].part(0, layout_.page_bytes()), copy);
  commands_.finish();
  layout_.read(copy.mapped, n_tokens, out);
}

void VulkanBackend::write_page(int page, int n_tokens, const std::byte* in) {
  std::vector<std::byte> bytes(layout_.page_bytes());
  layout_.write(bytes.data(), n_tokens, in);
  commands_.finish();
  staging_.write(pages_[page], bytes);
  staging_.flush();
}

VkDeviceAddress VulkanBackend::address(const Tensor& t) const {
  const Activations& rows = tensors_[t.id];
  return rows.address + std::size_t(t.first) * rows.stride * sizeof(float);
}

// Scratch memory must not move under commands that name it.
VkDeviceAddress VulkanBackend::reserve(Scratch& scratch, std::size_t floats) {
  if (!scratch.holds(floats * sizeof(float))) commands_.forget();
  return scratch.reserve(floats * sizeof(float));
}

Region VulkanBackend::readback(std::size_t bytes) {
  if (!readback_ || readback_->region().size < bytes) {
    commands_.forget();
    readback_ = std::make_unique<Buffer>(device_, bytes, Memory::host, "results");
  }
  return readback_->region().part(0, bytes);
}

Traffic VulkanBackend::traffic() const {
  Traffic traffic = traffic_;
  const CommandCounts& counts = commands_.counts();
  traffic.dispatches = counts.dispatches;
  traffic.barriers = counts.barriers;
  traffic.copies = counts.copies;
  traffic.submissions = counts.submissions;
  traffic.recordings = counts.recordings;
  traffic.bus_up_bytes += counts.up_bytes;
  traffic.bus_down_bytes += counts.down_bytes;
  return traffic;
}

void VulkanBackend::count(const Weights& w, std::int64_t matrices, std::int64_t rows,
                          std::int64_t times) {
  traffic_.weight_bytes += static_cast<std::int64_t>(w.panel_bytes) * w.panels * matrices * times;
  traffic_.ideal_bytes +=
      static_cast<std::int64_t>(row_bytes(w.type, w.columns)) * w.rows * matrices;
  traffic_.operations += 2 * rows * w.columns * w.rows;
}

void VulkanBackend::count_cache(std::int64_t bytes, std::int64_t ideal_bytes) {
  traffic_.cache_bytes += bytes;
  traffic_.ideal_bytes += ideal_bytes;
}

}  // namespace corvid::model
