// The back end of a name: "cpu", "vulkan:N", or "vulkan" for the best device that Vulkan offers.
#pragma once

#include <memory>
#include <string>

#include "model/compute/backend.h"

namespace corvid::model {

struct BackendOptions {
  std::string name = "cpu";
  int threads = 0;               // of the CPU; 0: one per core
  std::string kernels = "auto";  // of the CPU; see choose_kernels
  Precision precision = Precision::exact;
};

// ModelError when the name is unknown or the device cannot be used, with the reason.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

}  // namespace corvid::model
