// What the model reads of a process: its output as text, and in the last line how it ended, after
// what the sandbox has to say: [exit N] or [killed by signal N], or how one ended that was not left
// to itself: [timed out after N s, signal N], [interrupted, exit N]. Pure.
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

// The last line of a process that was ended: "[job 2 stopped, signal 15]".
std::string cut_short(const sandbox::ProcessResult& done, const std::string& why);

std::string shell_text(const sandbox::ProcessResult& done, const ShellTextOptions& options);

}  // namespace corvid::tools
