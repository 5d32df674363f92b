#include "sandbox/guard.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;
using Kind = PathState::Kind;

// The git folders whose configuration and hooks are protected one by one.
std::vector<fs::path> git_folders_of(const std::vector<Protection>& protections) {
  std::vector<fs::path> paths;
  for (const Protection& one : protections) {
    if (one.path.filename() == "config") paths.push_back(one.path.parent_path());
  }
  return paths;
}

}  // namespace

Guard::Guard(const Policy& policy, bool frozen_by_mounts, std::set<std::string>& made)
    : policy_(policy),
      frozen_by_mounts_(frozen_by_mounts),
      protections_(sandbox::protections(policy)),
      repositories_(policy, made, git_folders_of(protections_)) {}

void Guard::remember() {
  for (const Protection& one : protections_) {
    if (one.hold == Hold::pinned && frozen_by_mounts_) continue;
    const bool contents = one.hold == Hold::watched || !frozen_by_mounts_;
    entries_[one.path] = {
        state_of(place_of(policy_, one.path), contents && one.hold != Hold::pinned), one.hold};
  }
  repositories_.remember();
}

std::vector<std::string> Guard::look() {
  std::vector<std::string> notices;
  for (const auto& [path, entry] : entries_) {
    const std::string notice = settle(path, entry);
    if (!notice.empty()) notices.push_back("The sandbox protects " + path.string() + notice);
  }
  return notices;
}

std::vector<std::string> Guard::restore(bool over) {
  if (policy_.mode == Policy::Mode::off) return {};
  std::vector<std::string> notices = look();
  for (std::string& notice : repositories_.restore(over)) notices.push_back(std::move(notice));
  return notices;
}

bool Guard::needs_no_look(const Entry& entry, const PathState& now) const {
  const Kind kind = entry.before.kind;
  if (entry.hold == Hold::pinned) {
    return now.kind == Kind::missing || now.identity == entry.before.identity;
  }
  // It cannot have been the command.
  const bool mounted = frozen_by_mounts_ && entry.hold == Hold::frozen;
  if (mounted && (kind == Kind::file || kind == Kind::folder)) return true;
  if (entry.hold == Hold::watched && now.kind == Kind::missing) return true;
  return same_contents(entry.before, now);
}

bool Guard::tolerable(const fs::path& path, const Place& place, const PathState& now) const {
  if (now.kind != Kind::folder) return false;
  if (path.filename() == ".git") return clean_new_repository(policy_, path);
  return path.filename() == "hooks" && has_no_hooks(place);
}

// What was done about one path, to go on a sentence with.
std::string Guard::settle(const fs::path& path, const Entry& entry) const {
  const Place place = place_of(policy_, path);
  const bool contents = !frozen_by_mounts_ || entry.hold == Hold::watched;
  const PathState now = state_of(place, contents && entry.hold != Hold::pinned);
  if (!place.folder || needs_no_look(entry, now)) return {};
  const bool was_missing = entry.before.kind == Kind::missing;
  if (was_missing && tolerable(path, place, now)) return {};
  if (was_missing && path.filename() == ".git" && now.kind == Kind::folder) {
    return ": hooks and settings that the command gave this new repository are set aside.";
  }
  std::string aside;
  if (now.kind != Kind::missing) aside = move_aside(place);
  const bool was_there = !was_missing && entry.hold != Hold::pinned;
  if (was_there) put_back(place, entry.before);
  const std::string wrote = aside.empty() ? "" : "; what the command made of it is " + aside;
  return std::string(was_there ? " and put it back" : " and took it away") + wrote + ".";
}

}  // namespace corvid::sandbox
