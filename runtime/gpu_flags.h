// What every command that loads a model says of the GPU: --gpu-memory and --gpu-experts.
#pragma once

#include "model/compute/gpu_options.h"

namespace CLI {
class App;
}

namespace corvid::runtime {

void add_gpu_flags(CLI::App& command, model::GpuOptions& gpu);

}  // namespace corvid::runtime
