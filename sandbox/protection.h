// Which parts of the writable folders stay as they are, because programs outside obey or run them:
// git's hooks and configuration, and what editors and agents read.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sandbox/policy.h"

namespace corvid::sandbox {

enum class Hold {
  frozen,   // stays as it is; the strictest comes first
  pinned,   // a folder that stays where it is (it cannot be renamed away) but can be written in
  watched,  // may go away, and is put back when it has changed
};

struct Protection {
  std::filesystem::path path;
  Hold hold = Hold::frozen;
};

// Every protected path below a writable folder, existing or not, folders before what is in them.
std::vector<Protection> protections(const Policy& policy);

// What the configuration of the workspace's repository names in the workspace: a folder of hooks,
// files that it includes. SandboxError when they are too many.
std::vector<std::filesystem::path> named_by_git(const std::filesystem::path& workspace);

}  // namespace corvid::sandbox
