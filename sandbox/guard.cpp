#include "sandbox/guard.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <sstream>

#include "sandbox/mounts.h"
#include "sandbox/protection.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = 1 << 20;  // protected files are small
constexpr int kMaxMembers = 256;

std::string read_file(int folder, const std::string& name) {
  const Descriptor file(
      ::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  std::string bytes(kMaxFileBytes, 0);
  const ssize_t n = file ? ::read(file.get(), bytes.data(), bytes.size()) : 0;
  bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return bytes;
}

void write_file(int folder, const std::string& name, const std::string& bytes, mode_t mode) {
  const Descriptor file(
      ::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  [[maybe_unused]] const ssize_t n = file ? ::write(file.get(), bytes.data(), bytes.size()) : 0;
}

std::vector<std::string> names_in(int folder, const std::string& name) {
  std::vector<std::string> names;
  const int fd = ::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* stream = fd < 0 ? nullptr : ::fdopendir(fd);
  while (const dirent* entry = stream ? ::readdir(stream) : nullptr) {
    const std::string one = entry->d_name;
    if (one != "." && one != "..") names.push_back(one);
  }
  if (stream) ::closedir(stream);
  return names;
}

// The new name, empty when there was nothing to rename. A command can take the first names that
// are tried, not those that follow.
std::string move_aside(int folder, const std::string& name) {
  std::random_device random;
  for (int i = 1; i < 100; ++i) {
    std::string aside = name + ".refused";
    if (i > 1) aside += "." + std::to_string(i < 10 ? i : random());
    if (::renameat2(folder, name.c_str(), folder, aside.c_str(), RENAME_NOREPLACE) == 0) {
      return aside;
    }
    if (errno != EEXIST) break;
  }
  return {};
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(" \t\r");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r") + 1 - from);
}

bool only_samples(const std::vector<std::string>& hooks) {
  return std::all_of(hooks.begin(), hooks.end(),
                     [](const std::string& name) { return name.ends_with(".sample"); });
}

}  // namespace

bool is_plain_git_config(std::string_view text) {
  constexpr std::array kPlain = {"core.repositoryformatversion",
                                 "core.filemode",
                                 "core.bare",
                                 "core.logallrefupdates",
                                 "core.ignorecase",
                                 "core.precomposeunicode",
                                 "core.symlinks",
                                 "remote.url",
                                 "remote.fetch",
                                 "branch.remote",
                                 "branch.merge",
                                 "user.name",
                                 "user.email",
                                 "extensions.objectformat"};
  std::string section;
  std::istringstream lines{std::string(text)};
  for (std::string raw; std::getline(lines, raw);) {
    const std::string_view line = trimmed(raw);
    if (line.empty() || line.starts_with('#') || line.starts_with(';')) continue;
    if (line.ends_with('\\')) return false;  // goes on in the next line
    if (line.starts_with('[')) {
      if (!line.ends_with(']')) return false;
      section = lower(line.substr(1, line.find_first_of(" \t]\"") - 1));
      continue;
    }
    const std::string name = section + "." + lower(trimmed(line.substr(0, line.find('='))));
    if (std::find(kPlain.begin(), kPlain.end(), name) == kPlain.end()) return false;
  }
  return true;
}

Guard::Guard(const Policy& policy, bool frozen_by_mounts)
    : policy_(policy), frozen_by_mounts_(frozen_by_mounts) {}

// Resolved from the writable folder down without following a link, so that it cannot lead out.
Guard::Place Guard::open(const fs::path& path) const {
  fs::path root = policy_.workspace;
  for (const fs::path& writable : policy_.writable) {
    if (is_beneath(path, writable) && !is_beneath(path, root)) root = writable;
  }
  const Descriptor base(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const fs::path relative = path.lexically_relative(root);
  return {base ? open_in(base, relative.parent_path(), false) : Descriptor(),
          relative.filename().string()};
}

Guard::Entry Guard::look(const Place& place, bool pinned) const {
  Entry entry;
  struct stat status {};
  if (!place.folder ||
      ::fstatat(place.folder.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return entry;
  }
  if (S_ISLNK(status.st_mode)) {
    entry.kind = Kind::link;
    entry.bytes.resize(4096);
    const ssize_t n = ::readlinkat(place.folder.get(), place.name.c_str(), entry.bytes.data(),
                                   entry.bytes.size());
    entry.bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return entry;
  }
  entry.kind = S_ISDIR(status.st_mode) ? Kind::folder : Kind::file;
  if (pinned) {
    entry.kind = Kind::pinned;
    entry.bytes = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  } else if (!frozen_by_mounts_) {
    entry.mode = status.st_mode & 07777;
    if (entry.kind == Kind::file) entry.bytes = read_file(place.folder.get(), place.name);
    if (entry.kind == Kind::folder) entry.members = files_in(place);
  }
  return entry;
}

Guard::Files Guard::files_in(const Place& place) const {
  Files files;
  const Descriptor inside = open_in(place.folder, place.name, false);
  for (const std::string& name : names_in(place.folder.get(), place.name)) {
    struct stat status {};
    if (files.size() == kMaxMembers ||
        ::fstatat(inside.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      break;
    }
    files[name] = {status.st_mode, read_file(inside.get(), name)};
  }
  return files;
}

void Guard::put_back(const Place& place, const Entry& entry) const {
  const int folder = place.folder.get();
  if (entry.kind == Kind::link) ::symlinkat(entry.bytes.c_str(), folder, place.name.c_str());
  if (entry.kind == Kind::file) write_file(folder, place.name, entry.bytes, entry.mode);
  if (entry.kind != Kind::folder) return;
  ::mkdirat(folder, place.name.c_str(), entry.mode);
  const Descriptor inside = open_in(place.folder, place.name, false);
  for (const auto& [name, file] : entry.members) {
    if (S_ISREG(file.first)) write_file(inside.get(), name, file.second, file.first & 07777);
  }
}

// A repository that the command has made is welcome, with hooks and configuration that do nothing.
bool Guard::clean_new_repository(const Place& place) const {
  const Descriptor git = open_in(place.folder, place.name, false);
  bool clean = true;
  if (!only_samples(names_in(git.get(), "hooks"))) {
    move_aside(git.get(), "hooks");
    clean = false;
  }
  const std::string config = read_file(git.get(), "config");
  if (!is_plain_git_config(config)) {
    move_aside(git.get(), "config");
    write_file(git.get(), "config",
               "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n", 0644);
    clean = false;
  }
  if (!move_aside(git.get(), "config.worktree").empty()) clean = false;
  return clean;
}

bool Guard::tolerable(const fs::path& path, const Place& place, const Entry& now) const {
  if (now.kind != Kind::folder) return false;
  if (path.filename() == ".git") return clean_new_repository(place);
  return path.filename() == "hooks" && only_samples(names_in(place.folder.get(), place.name));
}

void Guard::remember() {
  entries_.clear();
  for (const Protection& protection : protections(policy_)) {
    if (protection.pinned && frozen_by_mounts_) continue;
    entries_[protection.path] = look(open(protection.path), protection.pinned);
  }
}

std::vector<std::string> Guard::restore() {
  std::vector<std::string> notices;
  for (const auto& [path, before] : entries_) {
    const std::string notice = settle(path, before);
    if (!notice.empty()) notices.push_back("The sandbox protects " + path.string() + notice);
  }
  return notices;
}

// What was done about one path, to go on a sentence with.
std::string Guard::settle(const fs::path& path, const Entry& before) const {
  const Place place = open(path);
  const Entry now = look(place, before.kind == Kind::pinned);
  if (now == before || !place.folder) return {};
  const bool mounted =
      frozen_by_mounts_ && (before.kind == Kind::file || before.kind == Kind::folder);
  if (mounted) return {};  // it cannot have been the command
  if (before.kind == Kind::pinned && now.kind == Kind::missing) return {};
  if (before.kind == Kind::missing && tolerable(path, place, now)) return {};
  if (before.kind == Kind::missing && path.filename() == ".git" && now.kind == Kind::folder) {
    return ": hooks and settings that the command gave this new repository are set aside.";
  }
  std::string aside;
  if (now.kind != Kind::missing) aside = move_aside(place.folder.get(), place.name);
  const bool was_there = before.kind != Kind::missing && before.kind != Kind::pinned;
  if (was_there) put_back(place, before);
  const std::string wrote = aside.empty() ? "" : "; what the command made of it is " + aside;
  return std::string(was_there ? " and put it back" : " and took it away") + wrote + ".";
}

}  // namespace corvid::sandbox
