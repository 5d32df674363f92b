// What a tool may touch. A plain value, made once per session from settings and flags and never
// from a tool's arguments.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace corvid::sandbox {

struct Limits {
  std::int64_t memory_bytes = std::int64_t{4} << 30;  // address space per process
  std::int64_t file_bytes = std::int64_t{4} << 30;    // largest file that can be written
  std::int64_t tmp_bytes = std::int64_t{1} << 30;     // size of the private /tmp
  int processes = 512;
  int open_files = 1024;
};

struct Policy {
  enum class Mode { on, off };

  Mode mode = Mode::on;
  std::filesystem::path workspace;              // canonical, absolute; writable
  std::vector<std::filesystem::path> writable;  // further writable folders
  std::vector<std::filesystem::path> secrets;   // hidden: key files, ~/.ssh, agent state, ...
  bool network = false;
  Limits limits;
};

// Policy for a workspace with the default secrets of this user's home hidden. SandboxError when
// the workspace is not a folder.
Policy default_policy(const std::filesystem::path& workspace);

}  // namespace corvid::sandbox
