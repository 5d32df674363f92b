// AVX2 with FMA, F16C and AVX-VNNI (Alder Lake onwards). Compiled with those flags.
#include "model/compute/cpu/avx2_set.h"

namespace corvid::model {

const Kernels& avx_vnni_kernels() {
  static constexpr Kernels kKernels = simd_set<Avx2>("avxvnni");
  return kKernels;
}

}  // namespace corvid::model
