// The program run to its end, as from a shell.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <string>

#include "tests/scratch_folder.h"

namespace corvid {

struct Outcome {
  std::string output;  // both streams
  int code = -1;
};

// `arguments` as a shell reads them, `input` on stdin.
inline Outcome corvid(const std::string& arguments, const std::string& input = "") {
  const ScratchFolder folder;
  folder.put("input", input);
  const std::string command =
      std::string(CORVID_BINARY) + " " + arguments + " < " + (folder / "input").string();
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  Outcome outcome;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) {
    outcome.output.append(buffer, n);
  }
  outcome.code = WEXITSTATUS(::pclose(pipe));
  return outcome;
}

}  // namespace corvid
