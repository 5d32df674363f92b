#include "sandbox/repositories.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "sandbox/git_config.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;
using Kind = PathState::Kind;

// What git runs or reads settings from, and where it looks for them.
constexpr std::array kObeyed = {"hooks", "config", "config.worktree", "commondir"};
constexpr const char* kNewConfig =
    "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n";

bool only_samples(const std::vector<std::string>& hooks) {
  return std::all_of(hooks.begin(), hooks.end(),
                     [](const std::string& name) { return name.ends_with(".sample"); });
}

bool is_harmless_config(const PathState& config) {
  if (config.kind == Kind::missing) return true;
  return config.kind == Kind::file && config.bytes.size() < kMaxStateBytes &&
         is_plain_git_config(config.bytes);
}

// That of a worktree names the repository that it lies in. Git does nothing with an empty one.
bool is_harmless_common(const fs::path& git, const PathState& common) {
  if (common.kind == Kind::missing) return true;
  return common.kind == Kind::file && git.parent_path().filename() == "worktrees" &&
         (common.bytes == "../..\n" || common.bytes == "../.." || common.bytes.empty());
}

// Where a `.git` that is a file or a link leads; empty when nowhere.
fs::path target_of(const fs::path& path, const PathState& link) {
  constexpr std::string_view kStart = "gitdir: ";
  std::string text = link.bytes;
  if (link.kind == Kind::file) {
    if (!text.starts_with(kStart)) return {};
    text.erase(0, kStart.size());
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  }
  std::error_code error;
  return fs::weakly_canonical(path.parent_path() / text, error);
}

bool is_repository(const fs::path& git) {
  std::error_code error;
  return !git.empty() && fs::exists(fs::symlink_status(git / "HEAD", error));
}

}  // namespace

bool has_no_hooks(const Place& place) {
  const PathState hooks = state_of(place, false);
  return hooks.kind == Kind::missing ||
         (hooks.kind == Kind::folder && only_samples(names_in(place)));
}

bool clean_new_repository(const Policy& policy, const fs::path& git) {
  bool clean = true;
  const auto set_aside = [&clean](const Place& place) {
    move_aside(place);
    clean = false;
  };
  const Place hooks = place_of(policy, git / "hooks");
  if (!has_no_hooks(hooks)) set_aside(hooks);
  const Place config = place_of(policy, git / "config");
  if (!is_harmless_config(state_of(config, true))) {
    set_aside(config);
    write_new_file(config, kNewConfig, 0644);
  }
  const Place common = place_of(policy, git / "commondir");
  if (!is_harmless_common(git, state_of(common, true))) set_aside(common);
  const Place worktree = place_of(policy, git / "config.worktree");
  if (state_of(worktree, false).kind != Kind::missing) set_aside(worktree);
  return clean;
}

Repositories::Repositories(const Policy& policy, std::set<std::string>& made,
                           const std::vector<fs::path>& held)
    : policy_(policy), made_(made), held_(held.begin(), held.end()) {}

bool Repositories::is_held(const fs::path& git) const {
  return held_.contains(git);
}

Repositories::States Repositories::states_of(const fs::path& git) const {
  States states;
  for (const char* name : kObeyed) states[name] = state_of(place_of(policy_, git / name), true);
  return states;
}

// One that was not found before: perhaps since there were too many folders, and now there are
// fewer. A command cannot set back the time of the last change.
bool Repositories::may_be_new(const fs::path& git) const {
  if (complete_) return true;
  for (const fs::path& path : {git, git / "hooks", git / "config", git / "commondir"}) {
    const Place place = place_of(policy_, path);
    struct stat status {};
    if (::fstatat(place.folder.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_ctime + 1 >= remembered_) {
      return true;
    }
  }
  return false;
}

void Repositories::remember() {
  remembered_ = std::time(nullptr);
  const GitFolders now = find_git_folders(policy_);
  complete_ = now.complete;
  for (const GitFolders::Folder& one : now.folders) {
    if (!made_.contains(one.identity)) {
      known_[one.identity] = is_held(one.path) ? States() : states_of(one.path);
    }
  }
  for (const fs::path& link : now.links) links_[link] = state_of(place_of(policy_, link), true);
}

bool Repositories::restore_one(const fs::path& git, const States& before, bool over) const {
  bool unchanged = true;
  for (const auto& [name, state] : before) {
    const Place place = place_of(policy_, git / name);
    const PathState now = state_of(place, true);
    if (same_contents(state, now)) continue;
    if (now.kind == Kind::missing && !over) continue;  // perhaps all of it is being removed
    if (name == "commondir" && now.kind == Kind::missing) continue;  // a worktree is removed so
    if (name == "hooks" && state.kind == Kind::missing && has_no_hooks(place)) continue;
    if (now.kind != Kind::missing) move_aside(place);
    put_back(place, state);
    unchanged = false;
  }
  return unchanged;
}

// False: it led to a folder that git would take for a repository and that is not looked after.
bool Repositories::restore_link(const fs::path& link, const GitFolders& now, bool over) {
  const Place place = place_of(policy_, link);
  const PathState state = state_of(place, true);
  if (state.kind == Kind::missing) return true;  // since it was found
  const auto before = links_.find(link);
  if (before != links_.end() && same_contents(before->second, state)) return true;
  const fs::path target = target_of(link, state);
  const bool looked_after =
      std::any_of(now.folders.begin(), now.folders.end(),
                  [&](const GitFolders::Folder& one) { return one.path == target; });
  const bool is_new = state.kind == Kind::file && before == links_.end();
  if (is_new && looked_after) return true;
  // What it leads to may be in the making, or have been made while the search went on.
  if (is_new && !over && (!is_repository(target) || doubted_.insert(link).second)) return true;
  move_aside(place);
  if (before != links_.end()) put_back(place, before->second);
  return false;
}

std::vector<std::string> Repositories::restore(bool over) {
  std::vector<std::string> notices;
  const GitFolders now = find_git_folders(policy_);
  const auto say = [&notices](const fs::path& path, const char* what) {
    notices.push_back("The sandbox protects " + path.string() + what);
  };
  for (const GitFolders::Folder& one : now.folders) {
    const auto before = known_.find(one.identity);
    if (before == known_.end()) {
      if (!may_be_new(one.path)) continue;
      made_.insert(one.identity);
      if (clean_new_repository(policy_, one.path)) continue;
      say(one.path,
          ": hooks and settings that the command gave this new repository are set aside.");
    } else if (!restore_one(one.path, before->second, over)) {
      say(one.path, " and put its hooks and settings back.");
    }
  }
  for (const fs::path& link : now.links) {
    if (!restore_link(link, now, over)) say(link, " and set aside what the command made of it.");
  }
  if (complete_ && !now.complete) {
    notices.push_back("There are more folders than the sandbox looks through for repositories.");
    complete_ = false;
  }
  return notices;
}

}  // namespace corvid::sandbox
