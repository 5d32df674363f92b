// AVX2 with FMA and F16C (Haswell and Zen onwards). Compiled with those flags.
#include "model/compute/cpu/avx2_set.h"

namespace corvid::model {

const Kernels& avx2_kernels() {
  static constexpr Kernels kKernels = simd_set<Avx2>("avx2");
  return kKernels;
}

}  // namespace corvid::model
