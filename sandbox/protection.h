// Which parts of the writable folders stay as they are, because programs outside obey or run them:
// git's hooks and configuration, and what editors and agents read.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sandbox/policy.h"

namespace corvid::sandbox {

struct Protection {
  std::filesystem::path path;
  // A pinned folder stays where it is (it cannot be renamed away) but can be written in; everything
  // else keeps its contents too.
  bool pinned = false;
};

// Every protected path below a writable folder, existing or not, folders before what is in them.
std::vector<Protection> protections(const Policy& policy);

}  // namespace corvid::sandbox
