#include "sandbox/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "sandbox/descriptor.h"
#include "sandbox/location.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;
using Kind = FileError::Kind;

constexpr int kMaxLinks = 16;
constexpr int kMaxDepth = 128;  // of a listing; each level holds a descriptor

FileError io_error(const fs::path& path) {
  return {Kind::io, path.string() + ": " + std::strerror(errno) + "."};
}

// Opens what `locate` found once more, now for use. It cannot become another file in between.
Descriptor reopen(const Descriptor& located, int flags) {
  const std::string link = "/proc/self/fd/" + std::to_string(located.get());
  return Descriptor(::open(link.c_str(), flags | O_CLOEXEC | O_NOCTTY));
}

// Replaces `name` in `folder` in one step, keeping mode and, where it may, the owner.
bool replace(const Descriptor& folder, const std::string& name, std::string_view bytes,
             const struct stat* old) {
  static std::atomic<unsigned> counter{0};
  const std::string temporary =
      ".corvid-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  Descriptor file(::openat(folder.get(), temporary.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!file) return false;
  bool good = write_all(file.get(), bytes);
  if (good && old) {
    [[maybe_unused]] const int kept = ::fchown(file.get(), old->st_uid, old->st_gid);
    good = ::fchmod(file.get(), old->st_mode & 07777) == 0;
  }
  good = good && ::fsync(file.get()) == 0 &&
         ::renameat(folder.get(), temporary.c_str(), folder.get(), name.c_str()) == 0;
  if (!good) {
    const int error = errno;
    ::unlinkat(folder.get(), temporary.c_str(), 0);
    errno = error;
  }
  return good;
}

std::string link_target(const Descriptor& folder, const std::string& name) {
  std::string target(4096, 0);
  const ssize_t n = ::readlinkat(folder.get(), name.c_str(), target.data(), target.size());
  target.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return target;
}

struct Listing {
  const Policy& policy;
  bool recursive;
  std::size_t max_entries;
  std::vector<FolderEntry> entries{};

  void add(Descriptor folder, const fs::path& real, const fs::path& relative, int depth);
  bool full() const { return entries.size() >= max_entries; }
};

std::vector<std::string> sorted_names(DIR* folder) {
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void Listing::add(Descriptor folder, const fs::path& real, const fs::path& relative, int depth) {
  DIR* stream = ::fdopendir(folder.get());
  if (!stream) return;
  const int fd = folder.release();  // the stream closes it
  for (const std::string& name : sorted_names(stream)) {
    if (full()) break;
    struct stat status {};
    if (::fstatat(fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    const bool is_folder = S_ISDIR(status.st_mode);
    entries.push_back({relative / name, is_folder, static_cast<std::uint64_t>(status.st_size)});
    if (!recursive || !is_folder || depth == kMaxDepth || is_secret(policy, real / name)) continue;
    add(Descriptor(::openat(fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)),
        real / name, relative / name, depth + 1);
  }
  ::closedir(stream);
}

}  // namespace

Files::Files(const Policy& policy) : policy_(policy) {}
Files::~Files() = default;

std::variant<FileBytes, FileError> Files::read(const fs::path& path, std::uint64_t max_bytes,
                                               std::uint64_t offset) const {
  auto located = locate(policy_, path);
  if (const FileError* error = std::get_if<FileError>(&located)) return *error;
  const Descriptor& found = std::get<Descriptor>(located);
  struct stat status {};
  if (::fstat(found.get(), &status) != 0) return io_error(path);
  if (S_ISDIR(status.st_mode)) return FileError{Kind::is_folder, path.string() + " is a folder."};
  if (!S_ISREG(status.st_mode)) {
    return FileError{Kind::not_regular,
                     path.string() + " is a device, pipe or socket, not a file."};
  }
  const Descriptor file = reopen(found, O_RDONLY | O_NONBLOCK);
  if (!file) {
    return errno == EACCES ? FileError{Kind::denied, path.string() + ": permission denied."}
                           : io_error(path);
  }
  FileBytes result;
  char buffer[64 * 1024];
  while (result.bytes.size() < max_bytes) {
    const std::size_t want =
        std::min<std::uint64_t>(sizeof buffer, max_bytes - result.bytes.size());
    const auto at = static_cast<off_t>(offset + result.bytes.size());
    const ssize_t n = ::pread(file.get(), buffer, want, at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error(path);
    if (n == 0) break;
    result.bytes.append(buffer, static_cast<std::size_t>(n));
  }
  const std::uint64_t end = offset + result.bytes.size();
  result.size = std::max<std::uint64_t>(static_cast<std::uint64_t>(status.st_size), end);
  result.truncated = offset > 0 || end < result.size;
  return result;
}

std::variant<bool, FileError> Files::write(const fs::path& path, std::string_view bytes) const {
  fs::path at = path;
  for (int links = 0; links < kMaxLinks; ++links) {
    auto located = locate_parent(policy_, at, true);
    if (const FileError* error = std::get_if<FileError>(&located)) {
      return FileError{error->kind, error->message};
    }
    // A descriptor that can be synced and renamed in; O_PATH descriptors can do both.
    const Descriptor& folder = std::get<Descriptor>(located);
    const std::string name = absolute_path(policy_, at).filename();
    struct stat old {};
    const bool exists = ::fstatat(folder.get(), name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
    if (exists && S_ISLNK(old.st_mode)) {
      at = real_path(folder) / link_target(folder, name);
      continue;
    }
    if (exists && S_ISDIR(old.st_mode)) {
      return FileError{Kind::is_folder, path.string() + " is a folder."};
    }
    if (exists && !S_ISREG(old.st_mode)) {
      return FileError{Kind::not_regular,
                       path.string() + " is a device, pipe or socket, not a file."};
    }
    if (!replace(folder, name, bytes, exists ? &old : nullptr)) return io_error(path);
    return !exists;
  }
  return FileError{Kind::denied, path.string() + " leads through too many links."};
}

std::variant<std::vector<FolderEntry>, FileError> Files::list(const fs::path& path, bool recursive,
                                                              int max_entries) const {
  auto located = locate(policy_, path);
  if (const FileError* error = std::get_if<FileError>(&located)) return *error;
  const Descriptor& found = std::get<Descriptor>(located);
  const fs::path real = real_path(found);
  Descriptor folder = reopen(found, O_RDONLY | O_DIRECTORY);
  if (!folder && errno == ENOTDIR) {
    return FileError{Kind::not_regular, path.string() + " is not a folder."};
  }
  if (!folder) return io_error(path);
  Listing listing{policy_, recursive, static_cast<std::size_t>(std::max(max_entries, 0))};
  listing.add(std::move(folder), real, {}, 0);
  return std::move(listing.entries);
}

}  // namespace corvid::sandbox
