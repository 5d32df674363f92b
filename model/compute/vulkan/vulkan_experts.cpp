// Routed experts that lie on the CPU: the CPU routes and computes them while the device computes
// what all rows share. Rows of activations cross the bus, weights never.
#include <cstring>
#include <string>

#include "model/compute/cpu/cpu_backend.h"
#include "model/compute/vulkan/sizes.h"
#include "model/compute/vulkan/vulkan_backend.h"
#include "model/error.h"

namespace corvid::model {
namespace {

constexpr int kMatricesOfExperts = 3;
constexpr int kMostExperts = 1024;  // that route.comp and group_pairs.comp hold

}  // namespace

Matrix VulkanBackend::add_router(const TensorView& tensor) {
  const Matrix matrix = add_matrix(tensor);
  if (matrix.rows > kMostExperts) {
    throw ModelError("the GPU routes to up to " + std::to_string(kMostExperts) +
                     " experts; this model has " + std::to_string(matrix.rows));
  }
  if (cpu_) matrices_[matrix.id].on_cpu = cpu_->add_matrix(tensor);
  return matrix;
}

int VulkanBackend::layers_with_experts() const {
  return (experts_added_ + kMatricesOfExperts - 1) / kMatricesOfExperts;
}

Matrix VulkanBackend::add_experts(const TensorView& tensor) {
  const int layer = experts_added_++ / kMatricesOfExperts;
  if (!cpu_ || layer < expert_layers_) return add_matrix(tensor);
  layers_on_cpu_ = layer + 1 - expert_layers_;
  Matrix matrix = cpu_->add_matrix(tensor);
  matrices_.push_back({.columns = matrix.columns, .rows = matrix.rows, .on_cpu = matrix});
  matrix.id = static_cast<int>(matrices_.size()) - 1;
  return matrix;
}

void VulkanBackend::mix_experts_on_cpu(const Tensor& x, const Norm& norm, const Router& router,
                                       const GatedFfn& experts, const GatedFfn& shared) {
  std::vector<float> before(std::size_t(x.rows) * x.width), after(before.size());
  read(x, before);
  if (shared.gate) {
    feed_forward(x, norm, shared);
    commands_.submit();
  }
  const auto vector_of = [this](const Vector& v) { return v ? vectors_on_cpu_[v.id] : Vector{}; };
  const auto matrix_of = [this](const Matrix& m) { return weights(m).on_cpu; };
  const Norm cpu_norm{vector_of(norm.weight), vector_of(norm.bias), norm.eps};
  Router cpu_router = router;
  cpu_router.gate = matrix_of(router.gate);
  cpu_router.bias = vector_of(router.bias);
  const GatedFfn cpu_experts{matrix_of(experts.gate), matrix_of(experts.up),
                             matrix_of(experts.down)};
  if (rows_on_cpu_.rows < x.rows || rows_on_cpu_.width != x.width) {
    const auto rows = tensors_[x.id].region.size / (stride(x) * sizeof(float));
    rows_on_cpu_ = cpu_->add_tensor(static_cast<int>(rows), x.width);
  }
  const Tensor rows = rows_on_cpu_.top(x.rows);
  cpu_->write(rows, before);
  cpu_->mix_experts(rows, cpu_norm, cpu_router, cpu_experts, {});
  cpu_->read(rows, after);
  for (std::size_t i = 0; i < after.size(); ++i) after[i] -= before[i];
  add_from_cpu(x, after);
}

// x += values, which the kernel reads where the CPU has left them.
void VulkanBackend::add_from_cpu(const Tensor& x, std::span<const float> values) {
  const std::size_t bytes = std::size_t(x.rows) * stride(x) * sizeof(float);
  if (!from_cpu_ || from_cpu_->region().size < bytes) {
    commands_.forget();
    from_cpu_ = std::make_unique<Buffer>(device_, bytes, Memory::host, "experts on the CPU");
  }
  for (int i = 0; i < x.rows; ++i) {
    std::memcpy(from_cpu_->region().mapped + i * stride(x) * sizeof(float),
                values.data() + std::size_t(i) * x.width, x.width * sizeof(float));
  }
  traffic_.bus_up_bytes += static_cast<std::int64_t>(bytes);
  struct {
    VkDeviceAddress y, x;
    std::uint32_t dim, used, y_stride, x_stride;
  } push{from_cpu_->region().address,
         address(x),
         static_cast<std::uint32_t>(x.width),
         1,
         stride(x),
         stride(x)};
  commands_.barrier();
  commands_.dispatch(pipelines_.get(Kernel::add_pairs, {}), push,
                     {divide_up(x.width, 64), static_cast<std::uint32_t>(x.rows)});
}

}  // namespace corvid::model
