// Puts back what a command did to protected paths that a mount cannot protect: paths that were
// missing, links, and, where there is no mount namespace, everything; and to repositories deeper
// in. Nothing is deleted: what does not belong there is renamed to NAME.refused. Stub only: before,
// during and after each command.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sandbox/path_state.h"
#include "sandbox/policy.h"
#include "sandbox/protection.h"
#include "sandbox/repositories.h"

namespace corvid::sandbox {

class Guard {
 public:
  // `frozen_by_mounts`: files and folders that exist need no second look. `made`: see Repositories.
  Guard(const Policy& policy, bool frozen_by_mounts, std::set<std::string>& made);

  // Remembers how things are; call it before the command.
  void remember();
  // What the command may be kept from by mounts.
  const std::vector<Protection>& protections() const { return protections_; }

  // Puts things back; a sentence for each that had changed. `look` costs little; `restore` goes
  // through all folders. `over`: all processes of the command have ended.
  std::vector<std::string> look();
  std::vector<std::string> restore(bool over);

 private:
  struct Entry {
    PathState before;
    Hold hold;
  };

  bool needs_no_look(const Entry& entry, const PathState& now) const;
  bool tolerable(const std::filesystem::path& path, const Place& place, const PathState& now) const;
  std::string settle(const std::filesystem::path& path, const Entry& entry) const;

  const Policy& policy_;
  bool frozen_by_mounts_;
  std::vector<Protection> protections_;
  std::map<std::filesystem::path, Entry> entries_;
  Repositories repositories_;
};

}  // namespace corvid::sandbox
