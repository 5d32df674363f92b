// NEON with products of four bytes (Cortex-A55, Neoverse N1, Apple M1 onwards). Compiled with that
// flag.
#include "model/compute/cpu/neon_set.h"

namespace corvid::model {

const Kernels& neon_dot_kernels() {
  static constexpr Kernels kKernels = simd_set<Neon>("neondot");
  return kKernels;
}

}  // namespace corvid::model
