#include "runtime/gpu_flags.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <string>

namespace corvid::runtime {

void add_gpu_flags(CLI::App& command, model::GpuOptions& gpu) {
  command
      .add_option("--gpu-memory", gpu.memory_bytes,
                  "What a model may take on the GPU, such as 6GB; without it what is free there")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("BYTES");
  const auto read = [&gpu](const std::string& text) {
    const char* end = text.data() + text.size();
    if (text == "auto" || text == "all" || text == "none") {
      gpu.expert_layers = text == "auto"  ? model::kExpertsThatFit
                          : text == "all" ? model::kAllExperts
                                          : 0;
      return;
    }
    const auto [at, error] = std::from_chars(text.data(), end, gpu.expert_layers);
    if (error != std::errc() || at != end || gpu.expert_layers < 0) {
      throw CLI::ValidationError("--gpu-experts", "auto, all, none or a number of layers");
    }
  };
  command
      .add_option_function<std::string>(
          "--gpu-experts", read,
          "Whose routed experts lie on the GPU, the others' on the CPU: the first N layers', all, "
          "none, or (auto) as many as fit")
      ->type_name("auto|all|none|N");
}

}  // namespace corvid::runtime
