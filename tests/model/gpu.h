// The device that tests of the GPU run on: the first that can, a software one as a rule.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "model/compute/vulkan/devices.h"

namespace corvid::model::testing {

// "vulkan:N", or nothing where no device can run a model.
inline std::optional<std::string> gpu() {
  static const std::optional<std::string> found = []() -> std::optional<std::string> {
    for (const DeviceInfo& device : list_devices().devices) {
      if (device.problem.empty()) return "vulkan:" + std::to_string(device.index);
    }
    return std::nullopt;
  }();
  return found;
}

inline int gpu_index() {
  return std::stoi(gpu()->substr(gpu()->find(':') + 1));
}

}  // namespace corvid::model::testing

// Where one has to be there, as in CI, CORVID_MUST_HAVE_GPU says so.
#define CORVID_NEEDS_GPU()                                          \
  if (!::corvid::model::testing::gpu()) {                           \
    if (std::getenv("CORVID_MUST_HAVE_GPU")) {                      \
      FAIL() << "no Vulkan device: " << list_devices().problem;     \
    }                                                               \
    GTEST_SKIP() << "no Vulkan device: " << list_devices().problem; \
  }                                                                 \
  static_assert(true)
