// The repositories that lie deeper in the writable folders: what a command did to their hooks and
// configuration is put back, and one that it made keeps only what does nothing. No mount protects
// them, so that they can be removed and made at will. Stub only, before and after each command.
#pragma once

#include <ctime>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sandbox/git_folders.h"
#include "sandbox/path_state.h"
#include "sandbox/policy.h"

namespace corvid::sandbox {

class Repositories {
 public:
  // `made`: identities of those that commands made; it outlives this. `held`: those that are
  // protected otherwise.
  Repositories(const Policy& policy, std::set<std::string>& made,
               const std::vector<std::filesystem::path>& held);

  // How things are; call it before the command.
  void remember();
  // Puts them back; a sentence for each that had changed. What does nothing as it is may be on its
  // way to be something else, or nothing, until the command is `over`.
  std::vector<std::string> restore(bool over);

 private:
  using States = std::map<std::string, PathState>;  // by name in the git folder

  States states_of(const std::filesystem::path& git) const;
  bool restore_one(const std::filesystem::path& git, const States& before, bool over) const;
  bool restore_link(const std::filesystem::path& link, const GitFolders& now, bool over);
  bool may_be_new(const std::filesystem::path& git) const;
  bool is_held(const std::filesystem::path& git) const;

  const Policy& policy_;
  std::set<std::string>& made_;
  std::set<std::filesystem::path> held_;
  std::map<std::string, States> known_;  // by identity
  std::map<std::filesystem::path, PathState> links_;
  std::set<std::filesystem::path> doubted_;  // new links whose repository a search did not find
  bool complete_ = true;
  std::time_t remembered_ = 0;
};

// A repository that a command has made is welcome, with hooks and configuration that do nothing.
// False: something had to be set aside.
bool clean_new_repository(const Policy& policy, const std::filesystem::path& git);

// True when the folder at `place` is missing or holds no hook that git would run.
bool has_no_hooks(const Place& place);

}  // namespace corvid::sandbox
