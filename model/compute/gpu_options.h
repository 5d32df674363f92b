// What a user says about the GPU that runs a model. Plain values.
#pragma once

#include <cstdint>
#include <string>

namespace corvid::model {

struct GpuOptions {
  std::int64_t memory_bytes = 0;  // that it may take on the device; 0: what is free there
  int expert_layers = -1;         // whose routed experts lie there, the others' on the CPU; -1: all
  std::string cache_folder;       // of compiled kernels, between runs; empty: none
  bool any = false;               // "auto" takes any device, for a model of any size
};

}  // namespace corvid::model
