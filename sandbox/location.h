// Opening a path under a policy without a gap between check and use: the kernel resolves it beneath
// a root that is already open (openat2), and whatever is checked is checked on what was opened.
// Blocking. Used by Files.
#pragma once

#include <filesystem>
#include <string>
#include <variant>

#include "sandbox/descriptor.h"
#include "sandbox/policy.h"

namespace corvid::sandbox {

struct FileError;

// Absolute and lexically normal; relative paths start at the workspace.
std::filesystem::path absolute_path(const Policy& policy, const std::filesystem::path& path);

// The path of an open descriptor, as the kernel knows it. Empty when it cannot tell.
std::filesystem::path real_path(const Descriptor& open);

// True when `real` is hidden by the policy.
bool is_secret(const Policy& policy, const std::filesystem::path& real);

// The writable root that holds `absolute`, or an empty path.
std::filesystem::path writable_root(const Policy& policy, const std::filesystem::path& absolute);

// Opens for looking only (O_PATH): a file or folder that the policy lets be read.
std::variant<Descriptor, FileError> locate(const Policy& policy, const std::filesystem::path& path);

// Opens the folder that holds `path`, for writing in it; missing folders are created when `create`.
std::variant<Descriptor, FileError> locate_parent(const Policy& policy,
                                                  const std::filesystem::path& path, bool create);

}  // namespace corvid::sandbox
