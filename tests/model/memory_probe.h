// Kernels that note every word of device memory that they read or write.
//
// A module's SPIR-V is changed on its way to the device: before each load from and store to memory
// with an address, the address goes to the end of a list. Nothing of the sources is said twice, so
// no access is forgotten. One kernel's dispatch is told from the next by the kernel's number; a
// word counts once for each of them, as if caches were ideal. Tests only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "model/compute/vulkan/buffer.h"
#include "model/compute/vulkan/pipelines.h"

namespace corvid::model::testing {

struct ProbedBytes {
  std::int64_t read = 0, written = 0;
  std::int64_t loaded = 0;  // by threads: a word that many ask for counts for each
};

class MemoryProbe {
 public:
  // Room for this many accesses between two calls of clear(): a power of two.
  explicit MemoryProbe(std::uint32_t entries = 1 << 23) : entries_(entries) {}

  // For VulkanOptions::rewrite. The back end outlives the probe.
  std::vector<std::uint32_t> rewrite(const Device& device, Kernel kernel,
                                     std::span<const std::uint32_t> code);
  void clear();
  // Since clear(), by kernel. The device is idle.
  std::map<Kernel, ProbedBytes> bytes() const;

 private:
  std::uint32_t entries_;
  std::unique_ptr<Buffer> log_;
};

}  // namespace corvid::model::testing
