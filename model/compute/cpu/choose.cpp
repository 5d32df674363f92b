#include <array>
#include <string>

#include "model/compute/cpu/kernels.h"
#include "model/error.h"

namespace corvid::model {
namespace {

struct Candidate {
  std::string_view name;
  bool (*available)();
  const Kernels& (*kernels)();
};

// Best last.
constexpr Candidate kCandidates[] = {
    {"scalar", [] { return true; }, scalar_kernels},
#if defined(__x86_64__)
    {"avx2",
     [] {
       // Every processor with AVX2 has F16C, which clang 14 cannot ask for.
       return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
     },
     avx2_kernels},
    {"avx512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
     },
     avx512_kernels},
#endif
};

}  // namespace

const Kernels& choose_kernels(std::string_view name) {
  const Candidate* best = nullptr;
  std::string have;
  for (const Candidate& candidate : kCandidates) {
    if (!candidate.available()) continue;
    if (name == "auto" || name == candidate.name) best = &candidate;
    have += have.empty() ? "" : ", ";
    have += candidate.name;
  }
  if (!best) {
    throw ModelError("kernels '" + std::string(name) +
                     "' are unknown or this machine lacks them; it has: auto, " + have);
  }
  return best->kernels();
}

}  // namespace corvid::model
