#include "sandbox/protection.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>

#include "sandbox/error.h"
#include "sandbox/git_config.h"
#include "sandbox/git_folders.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxModules = 64;
constexpr std::size_t kMaxNamed = 64;

// Of a git folder: `.git`, a submodule's folder or what a worktree points to. `commondir` names
// another folder that git takes hooks and configuration from.
void add_git_folder(const fs::path& git, std::vector<Protection>& found) {
  found.push_back({git, Hold::pinned});
  for (const char* name : {"hooks", "config", "config.worktree", "commondir"}) {
    found.push_back({git / name});
  }
  found.push_back({git / "info", Hold::pinned});
  found.push_back({git / "info/attributes"});
  int modules = 0;
  for (const fs::path& module : git_folders_below(git / "modules")) {
    if (++modules > kMaxModules) return;
    for (const char* name : {"hooks", "config", "config.worktree", "commondir"}) {
      found.push_back({module / name});
    }
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(git / "worktrees", error)) {
    if (++modules > kMaxModules || !entry.is_directory(error) || entry.is_symlink(error)) continue;
    found.push_back({entry.path() / "commondir", Hold::watched});
    found.push_back({entry.path() / "config.worktree", Hold::watched});
  }
}

void add_root(const fs::path& root, std::vector<Protection>& found) {
  std::error_code error;
  if (fs::is_regular_file(root / "HEAD", error) && fs::is_directory(root / "objects", error)) {
    add_git_folder(root, found);  // a bare repository, or the git folder around the workspace
  }
  const fs::path git = root / ".git";
  if (fs::is_directory(git, error) && !fs::is_symlink(git, error)) {
    add_git_folder(git, found);
  } else {
    found.push_back({git});
  }
  for (const std::string_view name : kProtectedNames) found.push_back({root / name});
}

bool is_writable_root(const Policy& policy, const fs::path& path) {
  return path == policy.workspace ||
         std::find(policy.writable.begin(), policy.writable.end(), path) != policy.writable.end();
}

// The folders that `path` lies in could be renamed, and others take their places.
void add_pins_above(const fs::path& path, const Policy& policy, std::vector<Protection>& found) {
  std::vector<Protection> pins;
  fs::path folder = path.parent_path();
  for (; !is_writable_root(policy, folder); folder = folder.parent_path()) {
    if (folder == folder.parent_path()) return;  // not in a folder that can be written in
    pins.push_back({folder, Hold::pinned});
  }
  found.insert(found.end(), pins.rbegin(), pins.rend());
}

// The strictest hold of each path: every one costs mounts, and those on the same folder multiply.
std::vector<Protection> each_once(const std::vector<Protection>& found) {
  std::map<fs::path, Hold> holds;
  for (const Protection& one : found) {
    const auto [entry, is_new] = holds.try_emplace(one.path, one.hold);
    if (!is_new) entry->second = std::min(entry->second, one.hold);
  }
  std::vector<Protection> once;
  for (const auto& [path, hold] : holds) once.push_back({path, hold});
  return once;
}

}  // namespace

std::vector<Protection> protections(const Policy& policy) {
  std::vector<Protection> found;
  add_root(policy.workspace, found);
  for (const fs::path& root : policy.writable) add_root(root, found);
  for (const fs::path& path : frozen_paths(policy)) {
    add_pins_above(path, policy, found);
    found.push_back({path});
  }
  // A writable folder is a mount of its own already and needs no pin.
  std::erase_if(found, [&](const Protection& one) {
    return one.hold == Hold::pinned && is_writable_root(policy, one.path);
  });
  return each_once(found);
}

std::vector<fs::path> named_by_git(const fs::path& workspace) {
  const fs::path git = workspace / ".git";
  std::ifstream file(git / "config", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<fs::path> named;
  for (const GitSetting& one : git_settings(text).value_or(std::vector<GitSetting>())) {
    const bool hooks = one.name == "core.hookspath";
    if (!hooks && one.name != "include.path" && one.name != "includeif.path") continue;
    fs::path path = ((hooks ? workspace : git) / one.value).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    if (is_beneath(path, workspace) && !is_beneath(git, path)) named.push_back(path);
    if (named.size() > kMaxNamed) {
      throw SandboxError("sandbox: " + (git / "config").string() + " names more than " +
                         std::to_string(kMaxNamed) +
                         " files of the workspace; no more can be protected");
    }
  }
  return named;
}

}  // namespace corvid::sandbox
