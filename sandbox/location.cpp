#include "sandbox/location.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "sandbox/files.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;
using Kind = FileError::Kind;

bool off(const Policy& policy) {
  return policy.mode == Policy::Mode::off;
}

// For kernels without openat2: one component at a time, following no link at all.
Descriptor walk(int root, const fs::path& relative, int flags) {
  Descriptor at(::fcntl(root, F_DUPFD_CLOEXEC, 3));
  for (auto part = relative.begin(); part != relative.end(); ++part) {
    if (*part == "..") {
      errno = EXDEV;
      return {};
    }
    const bool last = std::next(part) == relative.end();
    const int how = (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC;
    at.reset(::openat(at.get(), part->empty() ? "." : part->c_str(), how));
    if (!at) return at;
  }
  return at;
}

// An error is left in errno; EXDEV: it leads outside; ELOOP: through a magic link.
Descriptor open_beneath(int root, const fs::path& relative, int flags, std::uint64_t resolve) {
  const std::string name = relative.empty() ? "." : relative.string();
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0; tries < 64; ++tries) {
    Descriptor found(
        static_cast<int>(::syscall(SYS_openat2, root, name.c_str(), &how, sizeof how)));
    if (found || (errno != EAGAIN && errno != EINTR)) {  // EAGAIN: a rename raced with it
      return found || errno != ENOSYS ? std::move(found) : walk(root, relative, flags);
    }
  }
  return {};
}

Descriptor open_root(const fs::path& root) {
  return Descriptor(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

Descriptor open_anywhere(const fs::path& absolute, int flags) {
  const Descriptor root = open_root("/");
  return open_beneath(root.get(), absolute.relative_path(), flags, 0);
}

FileError error_of(int error, const fs::path& given) {
  const std::string name = given.string();
  switch (error) {
    case ENOENT:
      return {Kind::missing, name + " does not exist."};
    case ENOTDIR:
      return {Kind::missing, name + " does not exist: a part of it is a file, not a folder."};
    case EXDEV:
      return {Kind::denied, name + " leads outside the workspace."};
    case ELOOP:
      return {Kind::denied, name + " leads through a link that may not be followed."};
    case EACCES:
    case EPERM:
      return {Kind::denied, name + " may not be opened: permission denied."};
    case ENAMETOOLONG:
      return {Kind::io, "The path is too long."};
    default:
      return {Kind::io, name + ": " + std::strerror(error) + "."};
  }
}

// Resolves beneath the writable root that holds it. A link that leads out of one root and back into
// one is followed by its real path.
std::variant<Descriptor, FileError> open_in_root(const Policy& policy, const fs::path& root,
                                                 const fs::path& absolute, const fs::path& given,
                                                 int flags) {
  const Descriptor base = open_root(root);
  if (!base) return error_of(errno, given);
  Descriptor found =
      open_beneath(base.get(), absolute.lexically_relative(root), flags, RESOLVE_BENEATH);
  if (found) return found;
  if (errno != EXDEV) return error_of(errno, given);

  const fs::path real = real_path(open_anywhere(absolute, O_PATH));
  const fs::path other_root = real.empty() ? real : writable_root(policy, real);
  if (other_root.empty()) return error_of(EXDEV, given);
  const Descriptor other = open_root(other_root);
  found = open_beneath(other.get(), real.lexically_relative(other_root), flags,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  if (!found) return error_of(errno, given);
  return found;
}

std::optional<FileError> refusal_to_read(const Policy& policy, const Descriptor& found,
                                         const fs::path& given) {
  if (off(policy)) return std::nullopt;
  struct statfs system {};
  if (::fstatfs(found.get(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC) {
    return FileError{Kind::denied, given.string() + " may not be read: it is part of /proc."};
  }
  const fs::path real = real_path(found);
  if (real.empty() || is_secret(policy, real)) {
    return FileError{Kind::denied, given.string() + " is hidden by the sandbox policy."};
  }
  return std::nullopt;
}

// Git takes a folder with a HEAD for a repository, and obeys what lies in it.
bool is_part_of_git(const fs::path& real, const fs::path& root) {
  constexpr std::array kParts = {"objects", "refs",      "hooks",
                                 "config",  "commondir", "config.worktree"};
  if (real.filename() == "HEAD") return true;
  for (fs::path path = real; path != root && path.has_relative_path(); path = path.parent_path()) {
    const bool part = std::find(kParts.begin(), kParts.end(), path.filename()) != kParts.end();
    const fs::path head = path.parent_path() / "HEAD";
    if (part && ::faccessat(AT_FDCWD, head.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) return true;
  }
  return false;
}

std::optional<FileError> refusal_to_write(const Policy& policy, const fs::path& real,
                                          const fs::path& given) {
  if (off(policy)) return std::nullopt;
  const fs::path root = writable_root(policy, real);
  if (root.empty()) {
    return FileError{Kind::denied, given.string() +
                                       " is outside the workspace: the sandbox policy lets files "
                                       "be written only in " +
                                       policy.workspace.string() + "."};
  }
  if (is_secret(policy, real)) {
    return FileError{Kind::denied, given.string() + " is hidden by the sandbox policy."};
  }
  for (const fs::path& frozen : frozen_paths(policy)) {
    if (!is_beneath(real, frozen)) continue;
    return FileError{Kind::denied, given.string() + " is protected by the sandbox policy."};
  }
  if (const std::string part = protected_part(real.lexically_relative(root)); !part.empty()) {
    return FileError{Kind::denied, given.string() + " is protected by the sandbox policy: " + part +
                                       " is used by programs outside the sandbox."};
  }
  if (is_part_of_git(real, root)) {
    return FileError{Kind::denied, given.string() + " is protected by the sandbox policy: git " +
                                       "would take its folder for a repository, and obey it."};
  }
  return std::nullopt;
}

std::optional<FileError> make_folders(const Policy& policy, Descriptor at, const fs::path& relative,
                                      const fs::path& given) {
  for (const fs::path& part : relative) {
    if (auto refusal = refusal_to_write(policy, real_path(at) / part, given)) return refusal;
    if (::mkdirat(at.get(), part.c_str(), 0777) != 0 && errno != EEXIST) {
      return error_of(errno, given);
    }
    at = open_beneath(at.get(), part, O_PATH | O_DIRECTORY, RESOLVE_BENEATH);
    if (!at) return error_of(errno, given);
  }
  return std::nullopt;
}

}  // namespace

fs::path absolute_path(const Policy& policy, const fs::path& path) {
  const fs::path normal = (policy.workspace / path).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

fs::path real_path(const Descriptor& open) {
  std::error_code error;
  const fs::path link = "/proc/self/fd/" + std::to_string(open.get());
  return open ? fs::read_symlink(link, error) : fs::path();
}

bool is_secret(const Policy& policy, const fs::path& real) {
  if (off(policy)) return false;
  const auto lifted = [&](const fs::path& secret) {
    const auto opens = [&](const fs::path& root) {
      return is_beneath(real, root) && is_beneath(root, secret);
    };
    return opens(policy.workspace) ||
           std::any_of(policy.writable.begin(), policy.writable.end(), opens) ||
           std::any_of(policy.readable.begin(), policy.readable.end(), opens);
  };
  return std::any_of(policy.secrets.begin(), policy.secrets.end(), [&](const fs::path& secret) {
    return is_beneath(real, secret) && !lifted(secret);
  });
}

fs::path writable_root(const Policy& policy, const fs::path& absolute) {
  if (off(policy)) return "/";
  if (is_beneath(absolute, policy.workspace)) return policy.workspace;
  for (const fs::path& root : policy.writable) {
    if (is_beneath(absolute, root)) return root;
  }
  return {};
}

std::variant<Descriptor, FileError> locate(const Policy& policy, const fs::path& path) {
  const fs::path absolute = absolute_path(policy, path);
  const fs::path root = writable_root(policy, absolute);
  std::variant<Descriptor, FileError> found;
  if (!root.empty()) {
    found = open_in_root(policy, root, absolute, path, O_PATH);
  } else if (Descriptor anywhere = open_anywhere(absolute, O_PATH)) {
    found = std::move(anywhere);
  } else {
    found = error_of(errno, path);
  }
  if (const Descriptor* open = std::get_if<Descriptor>(&found)) {
    if (auto refusal = refusal_to_read(policy, *open, path)) return *refusal;
  }
  return found;
}

std::variant<Descriptor, FileError> locate_parent(const Policy& policy, const fs::path& path,
                                                  bool create) {
  fs::path absolute = absolute_path(policy, path);
  if (writable_root(policy, absolute).empty()) {  // perhaps another name of the workspace
    const fs::path real = real_path(open_anywhere(absolute.parent_path(), O_PATH | O_DIRECTORY));
    if (!real.empty()) absolute = real / absolute.filename();
  }
  if (auto refusal = refusal_to_write(policy, absolute, path)) return *refusal;

  const fs::path root = writable_root(policy, absolute);
  const fs::path folder = absolute.parent_path();
  if (absolute == root) return FileError{Kind::is_folder, path.string() + " is a folder."};
  auto found = open_in_root(policy, root, folder, path, O_PATH | O_DIRECTORY);
  const FileError* error = std::get_if<FileError>(&found);
  if (error && error->kind == Kind::missing && create) {
    const fs::path relative = folder.lexically_relative(root);
    if (auto refusal = make_folders(policy, open_root(root), relative, path)) return *refusal;
    found = open_in_root(policy, root, folder, path, O_PATH | O_DIRECTORY);
  }
  if (const Descriptor* open = std::get_if<Descriptor>(&found)) {
    const fs::path real = real_path(*open) / absolute.filename();
    if (auto refusal = refusal_to_write(policy, real, path)) return *refusal;
  }
  return found;
}

}  // namespace corvid::sandbox
