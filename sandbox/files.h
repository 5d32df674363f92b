// File access in process under the same policy as the sandbox: openat2 beneath the allowed roots,
// no magic links, no check-then-open; only regular files; writes are atomic (temporary file in the
// same folder, fsync, rename). Blocking: call through offload. Outcomes are values; SandboxError
// only for machine trouble.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sandbox/policy.h"

namespace corvid::sandbox {

struct FileError {
  enum class Kind { missing, denied, not_regular, too_large, exists, is_folder, io };
  Kind kind = Kind::io;
  std::string message;  // one sentence for the model, names the path as it was given
};

struct FileBytes {
  std::string bytes;
  std::uint64_t size = 0;  // of the whole file
  bool truncated = false;
};

struct FolderEntry {
  std::filesystem::path path;  // relative to the listed folder
  bool is_folder = false;
  std::uint64_t size = 0;
};

class Files {
 public:
  explicit Files(const Policy& policy);
  ~Files();

  const Policy& policy() const { return policy_; }
  // `path` is relative to the workspace, or absolute.
  std::variant<FileBytes, FileError> read(const std::filesystem::path& path,
                                          std::uint64_t max_bytes, std::uint64_t offset = 0) const;
  // Creates missing parent folders. True: the file was created; false: replaced.
  std::variant<bool, FileError> write(const std::filesystem::path& path,
                                      std::string_view bytes) const;
  // Depth-first, sorted, without following links; stops at max_entries.
  std::variant<std::vector<FolderEntry>, FileError> list(const std::filesystem::path& path,
                                                         bool recursive, int max_entries) const;

 private:
  const Policy& policy_;
};

}  // namespace corvid::sandbox
