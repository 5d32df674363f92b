// AVX-512 with VNNI (Cascade Lake and Zen 4 onwards). Compiled with those flags.
#include "model/compute/cpu/avx512_set.h"

namespace corvid::model {

const Kernels& avx512_kernels() {
  static constexpr Kernels kKernels = simd_set<Avx512>("avx512");
  return kKernels;
}

}  // namespace corvid::model
