// What the model reads of a process: its output as text, and in the last line how it ended, after
// what the sandbox has to say: [exit N], [killed by signal N], [timed out after N s] or
// [interrupted]. Pure.
#pragma once

#include <chrono>
#include <string>

#include "sandbox/process.h"

namespace corvid::tools {

struct ShellTextOptions {
  std::chrono::seconds deadline{0};
  std::size_t budget_bytes = 16 * 1024;
  std::string spill;   // the file with all of the output; empty: none
  std::string ending;  // another last line, of a process that runs on
};

std::string shell_text(const sandbox::ProcessResult& done, const ShellTextOptions& options);

}  // namespace corvid::tools
