// Where git would find a repository in the writable folders: in a `.git`, in a bare repository, in
// what `.git/modules` and `.git/worktrees` hold, at any depth. Git obeys the configuration and the
// hooks of all of them when it is run there, or in a repository that has them as a submodule.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sandbox/policy.h"

namespace corvid::sandbox {

struct GitFolders {
  struct Folder {
    std::filesystem::path path;
    std::string identity;  // as PathState's
  };
  std::vector<Folder> folders;
  std::vector<std::filesystem::path>
      links;             // `.git` that is a file or a link, to a folder of these
  bool complete = true;  // else there were more folders than are looked through
};

// Breadth first, following no link.
GitFolders find_git_folders(const Policy& policy);

// The ones below one folder, which lies in a writable one.
std::vector<std::filesystem::path> git_folders_below(const std::filesystem::path& folder);

}  // namespace corvid::sandbox
