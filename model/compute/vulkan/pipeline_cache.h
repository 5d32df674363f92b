// Compiled kernels between runs: what the driver gave, in a file per device and driver.
//
// A file is read when it is whole and comes from this device, this driver and these kernels, and is
// ignored otherwise: compiling again is all that is lost, so nothing here throws. Written as a
// whole or not at all; several programs may do so at once.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "model/compute/vulkan/functions.h"

namespace corvid::model {

class PipelineCacheFile {
 public:
  // An empty folder: no file, nothing is kept. `kernels` is a hash of their code.
  PipelineCacheFile(const std::filesystem::path& folder, const VkPhysicalDeviceProperties& device,
                    std::uint64_t kernels);

  const std::filesystem::path& path() const { return path_; }
  std::vector<std::byte> read() const;  // empty: there is none that fits
  bool write(std::span<const std::byte> data) const;

 private:
  std::filesystem::path path_;
  VkPhysicalDeviceProperties device_;
  std::uint64_t kernels_;
};

}  // namespace corvid::model
