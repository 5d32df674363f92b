#include "sandbox/path_state.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>

#include "sandbox/mounts.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;
using Kind = PathState::Kind;

constexpr int kMaxMembers = 256;

std::string read_file(const Place& place) {
  const Descriptor file(::openat(place.folder.get(), place.name.c_str(),
                                 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return {};
  std::string bytes(std::min(static_cast<std::size_t>(status.st_size), kMaxStateBytes), 0);
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t n = ::read(file.get(), bytes.data() + size, bytes.size() - size);
    if (n <= 0) break;
    size += static_cast<std::size_t>(n);
  }
  bytes.resize(size);
  return bytes;
}

std::string read_link(const Place& place) {
  std::string target(4096, 0);
  const ssize_t n =
      ::readlinkat(place.folder.get(), place.name.c_str(), target.data(), target.size());
  target.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return target;
}

PathState::Files files_in(const Place& place) {
  PathState::Files files;
  Place inside{open_in(place.folder, place.name, false), {}};
  for (std::string& name : names_in(place)) {
    if (name.ends_with(".sample")) continue;
    inside.name = std::move(name);
    struct stat status {};
    if (files.size() == kMaxMembers ||
        ::fstatat(inside.folder.get(), inside.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      break;
    }
    files[inside.name] = {status.st_mode, read_file(inside)};
  }
  return files;
}

}  // namespace

Place place_of(const Policy& policy, const fs::path& path) {
  fs::path root = policy.workspace;
  for (const fs::path& writable : policy.writable) {
    if (is_beneath(path, writable) && !is_beneath(path, root)) root = writable;
  }
  const Descriptor base(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const fs::path relative = path.lexically_relative(root);
  return {base ? open_in(base, relative.parent_path(), false) : Descriptor(),
          relative.filename().string()};
}

PathState state_of(const Place& place, bool contents) {
  PathState state;
  struct stat status {};
  if (!place.folder ||
      ::fstatat(place.folder.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return state;
  }
  state.identity = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  if (S_ISLNK(status.st_mode)) {
    state.kind = Kind::link;
    state.bytes = read_link(place);
    return state;
  }
  state.kind = S_ISDIR(status.st_mode) ? Kind::folder : Kind::file;
  if (!contents) return state;
  state.mode = status.st_mode & 07777;
  if (S_ISREG(status.st_mode)) state.bytes = read_file(place);
  if (state.kind == Kind::folder) state.members = files_in(place);
  return state;
}

bool same_contents(const PathState& a, const PathState& b) {
  return a.kind == b.kind && a.bytes == b.bytes && a.mode == b.mode && a.members == b.members;
}

void put_back(const Place& place, const PathState& state) {
  const int folder = place.folder.get();
  if (state.kind == Kind::link) ::symlinkat(state.bytes.c_str(), folder, place.name.c_str());
  if (state.kind == Kind::file) write_new_file(place, state.bytes, state.mode);
  if (state.kind != Kind::folder) return;
  ::mkdirat(folder, place.name.c_str(), state.mode);
  Place inside{open_in(place.folder, place.name, false), {}};
  for (const auto& [name, file] : state.members) {
    inside.name = name;
    if (S_ISREG(file.first)) write_new_file(inside, file.second, file.first & 07777);
  }
}

// A command can take the first names that are tried, not those that follow.
std::string move_aside(const Place& place) {
  std::random_device random;
  const int folder = place.folder.get();
  for (int i = 1; i < 100; ++i) {
    std::string aside = place.name + ".refused";
    if (i > 1) aside += "." + std::to_string(i < 10 ? i : random());
    if (::renameat2(folder, place.name.c_str(), folder, aside.c_str(), RENAME_NOREPLACE) == 0) {
      return aside;
    }
    if (errno != EEXIST) break;
  }
  return {};
}

std::vector<std::string> names_in(const Place& place) {
  std::vector<std::string> names;
  const int fd = ::openat(place.folder.get(), place.name.c_str(),
                          O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* stream = fd < 0 ? nullptr : ::fdopendir(fd);
  while (const dirent* entry = stream ? ::readdir(stream) : nullptr) {
    const std::string one = entry->d_name;
    if (one != "." && one != "..") names.push_back(one);
  }
  if (stream) ::closedir(stream);
  return names;
}

void write_new_file(const Place& place, const std::string& bytes, mode_t mode) {
  const Descriptor file(::openat(place.folder.get(), place.name.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  [[maybe_unused]] const bool written = file && write_all(file.get(), bytes);
}

}  // namespace corvid::sandbox
