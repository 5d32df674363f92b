#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <array>
#include <string>

#include "model/compute/cpu/kernels.h"
#include "model/error.h"

namespace corvid::model {
namespace {

#if defined(__x86_64__)
// Every processor with AVX2 has F16C, which clang 14 cannot ask for.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1) != 0;
}

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

// A process has to ask Linux for the tiles' registers (arch_prctl(2)); asking again is harmless.
bool has_amx() {
  constexpr int kAskForState = 0x1023, kTileData = 18;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!has_avx512() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool tiles = (d >> 24 & 1) != 0 && (d >> 25 & 1) != 0;  // and of bytes
#if defined(__linux__)
  return tiles && syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
#else
  return false;
#endif
}
#elif defined(__aarch64__)
bool has_dot_products() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return true;  // of every Mac
#endif
}
#endif

struct Candidate {
  std::string_view name;
  bool (*available)();
  const Kernels& (*kernels)();
};

// Best last.
constexpr Candidate kCandidates[] = {
    {"scalar", [] { return true; }, scalar_kernels},
#if defined(__x86_64__)
    {"avx2", has_avx2, avx2_kernels},
    {"avxvnni", has_avx_vnni, avx_vnni_kernels},
    {"avx512", has_avx512, avx512_kernels},
    {"amx", has_amx, amx_kernels},
#elif defined(__aarch64__)
    {"neon", [] { return true; }, neon_kernels},
    {"neondot", has_dot_products, neon_dot_kernels},
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
