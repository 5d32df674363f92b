// NEON as every aarch64 processor has it.
#include "model/compute/cpu/neon_set.h"

namespace corvid::model {

const Kernels& neon_kernels() {
  static constexpr Kernels kKernels = simd_set<Neon>("neon");
  return kKernels;
}

}  // namespace corvid::model
