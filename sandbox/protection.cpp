#include "sandbox/protection.h"

#include <algorithm>

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxModules = 64;

// Of a git folder: `.git`, a submodule's folder or what a worktree points to.
void add_git_folder(const fs::path& git, std::vector<Protection>& found) {
  found.push_back({git, true});
  for (const char* name : {"hooks", "config", "config.worktree"}) found.push_back({git / name});
  found.push_back({git / "info", true});
  found.push_back({git / "info/attributes"});
  std::error_code error;
  int modules = 0;
  for (const auto& entry : fs::directory_iterator(git / "modules", error)) {
    if (++modules > kMaxModules || !entry.is_directory(error) || entry.is_symlink(error)) continue;
    for (const char* name : {"hooks", "config"}) found.push_back({entry.path() / name});
  }
}

void add_root(const fs::path& root, std::vector<Protection>& found) {
  std::error_code error;
  if (fs::is_regular_file(root / "HEAD", error) && fs::is_directory(root / "objects", error)) {
    add_git_folder(root, found);
    return;
  }
  const fs::path git = root / ".git";
  if (fs::is_directory(git, error) && !fs::is_symlink(git, error)) {
    add_git_folder(git, found);
  } else {
    found.push_back({git});
  }
  for (const std::string_view name : kProtectedNames) found.push_back({root / name});
}

}  // namespace

std::vector<Protection> protections(const Policy& policy) {
  std::vector<Protection> found;
  add_root(policy.workspace, found);
  for (const fs::path& root : policy.writable) add_root(root, found);
  for (const fs::path& path : policy.frozen) found.push_back({path});
  // A writable folder is a mount of its own already and needs no pin.
  std::erase_if(found, [&](const Protection& one) {
    return one.pinned && std::find(policy.writable.begin(), policy.writable.end(), one.path) !=
                             policy.writable.end();
  });
  return found;
}

}  // namespace corvid::sandbox
