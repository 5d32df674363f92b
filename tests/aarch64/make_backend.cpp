// The CPU is the one back end of these tests.
#include "model/compute/make_backend.h"

#include "model/compute/cpu/cpu_backend.h"

namespace corvid::model {

MadeBackend make_backend(const BackendOptions& options) {
  return {std::make_unique<CpuBackend>(CpuOptions{
      .threads = options.threads, .kernels = options.kernels, .precision = options.precision})};
}

}  // namespace corvid::model
