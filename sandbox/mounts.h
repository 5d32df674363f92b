// Mounts as owned descriptors (the kernel's descriptor-based mount calls, Linux 5.12). Stub only.
// Everything throws SandboxError, which names the path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sandbox/descriptor.h"

namespace corvid::sandbox {

// A copy of what is mounted at `path` and below, not attached anywhere.
Descriptor clone_mount(int folder, const std::filesystem::path& path);

// Sets MOUNT_ATTR_* on a mount and everything below it.
void restrict_mount(const Descriptor& mount, std::uint64_t attributes);

// A new file system, with options like {"size=1048576", "mode=0755"}, not attached anywhere.
Descriptor new_mount(const char* type, const std::vector<std::string>& options,
                     std::uint64_t attributes);

// Puts `mount` onto the open file or folder `target`.
void attach(const Descriptor& mount, const Descriptor& target);

// Opens (O_PATH) beneath the open folder `root` as if that were "/". An empty descriptor when it is
// not there.
Descriptor open_in(const Descriptor& root, const std::filesystem::path& path, bool links = true);

// Creates missing folders; false when that is not possible.
bool make_folders_in(const Descriptor& root, const std::filesystem::path& path);

}  // namespace corvid::sandbox
