// Puts back what a command did to protected paths that a mount cannot protect: paths that were
// missing, links, and, where there is no mount namespace, everything. Nothing is deleted: what does
// not belong there is renamed to NAME.refused. Stub only, before and after each command.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sandbox/descriptor.h"
#include "sandbox/policy.h"

namespace corvid::sandbox {

class Guard {
 public:
  // `frozen_by_mounts`: files and folders that exist need no second look.
  Guard(const Policy& policy, bool frozen_by_mounts);

  // Remembers how things are; call it before the command.
  void remember();
  // Puts them back; a sentence for each that had changed. All the command's processes have ended.
  std::vector<std::string> restore();

 private:
  enum class Kind { missing, file, folder, link, pinned };
  using Files = std::map<std::string, std::pair<mode_t, std::string>>;  // by name
  struct Entry {
    Kind kind = Kind::missing;
    std::string bytes;  // of a file; target of a link; which folder is pinned
    mode_t mode = 0;
    Files members;  // of a folder
    bool operator==(const Entry&) const = default;
  };
  struct Place {
    Descriptor folder;
    std::string name;
  };

  Place open(const std::filesystem::path& path) const;
  Entry look(const Place& place, bool pinned) const;
  Files files_in(const Place& place) const;
  std::string settle(const std::filesystem::path& path, const Entry& before) const;
  void put_back(const Place& place, const Entry& entry) const;
  bool tolerable(const std::filesystem::path& path, const Place& place, const Entry& now) const;
  bool clean_new_repository(const Place& place) const;

  const Policy& policy_;
  bool frozen_by_mounts_;
  std::map<std::filesystem::path, Entry> entries_;
};

// True when a repository's configuration holds nothing that makes git run or trust something.
bool is_plain_git_config(std::string_view text);

}  // namespace corvid::sandbox
