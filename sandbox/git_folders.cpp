#include "sandbox/git_folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <deque>
#include <memory>
#include <string_view>
#include <utility>

#include "sandbox/descriptor.h"
#include "sandbox/mounts.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxFolders = 4096;  // a few milliseconds

class Search {
 public:
  void add_root(const fs::path& root);
  GitFolders run();

 private:
  struct Waiting {
    std::shared_ptr<const Descriptor> root;  // the writable folder that it lies in
    fs::path relative, path;
  };
  struct Listing {
    std::vector<std::string> folders;
    bool head = false, objects = false, refs = false, common = false, git_link = false;
  };

  void look_into(const Waiting& folder);
  static Listing list(DIR* stream);

  std::deque<Waiting> waiting_;
  GitFolders found_;
};

void Search::add_root(const fs::path& root) {
  const int fd = ::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  waiting_.push_back({std::make_shared<const Descriptor>(fd), {}, root});
}

Search::Listing Search::list(DIR* stream) {
  Listing listing;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    unsigned char type = entry->d_type;
    struct stat status {};
    if (type == DT_UNKNOWN &&
        ::fstatat(::dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
      type = S_ISDIR(status.st_mode) ? DT_DIR : DT_REG;
    }
    if (type == DT_DIR) listing.folders.emplace_back(name);
    listing.head |= name == "HEAD";
    listing.objects |= name == "objects";
    listing.refs |= name == "refs";
    listing.common |= name == "commondir";
    listing.git_link |= name == ".git" && type != DT_DIR;
  }
  return listing;
}

void Search::look_into(const Waiting& folder) {
  const Descriptor place = open_in(*folder.root, folder.relative, false);
  const int fd = place ? ::openat(place.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  DIR* stream = fd < 0 ? nullptr : ::fdopendir(fd);
  if (!stream) return;
  const Listing listing = list(stream);
  struct stat status {};
  ::fstat(::dirfd(stream), &status);
  ::closedir(stream);
  const bool is_git = listing.head && (listing.common || (listing.objects && listing.refs));
  if (is_git) {
    const std::string identity =
        std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
    found_.folders.push_back({folder.path, identity});
  }
  if (listing.git_link) found_.links.push_back(folder.path / ".git");
  for (const std::string& name : listing.folders) {
    // What git itself keeps there in great numbers.
    if (is_git && (name == "objects" || name == "refs" || name == "logs")) continue;
    waiting_.push_back({folder.root, folder.relative / name, folder.path / name});
  }
}

GitFolders Search::run() {
  for (int looked = 0; !waiting_.empty() && looked < kMaxFolders; ++looked) {
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    look_into(next);
  }
  found_.complete = waiting_.empty();
  return std::move(found_);
}

}  // namespace

GitFolders find_git_folders(const Policy& policy) {
  Search search;
  search.add_root(policy.workspace);
  for (const fs::path& root : policy.writable) search.add_root(root);
  return search.run();
}

std::vector<fs::path> git_folders_below(const fs::path& folder) {
  Search search;
  search.add_root(folder);
  std::vector<fs::path> paths;
  for (GitFolders::Folder& one : search.run().folders) paths.push_back(std::move(one.path));
  return paths;
}

}  // namespace corvid::sandbox
