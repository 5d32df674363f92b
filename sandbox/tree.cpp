#include "sandbox/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>

#include "sandbox/descriptor.h"

namespace corvid::sandbox {
namespace {

// The parent of a living process; -1 when it is gone or a zombie.
pid_t parent_of(const char* pid) {
  const std::string path = std::string("/proc/") + pid + "/stat";
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t n = file ? ::read(file.get(), text, sizeof text - 1) : -1;
  if (n <= 0) return -1;
  text[n] = 0;
  const char* after_name = std::strrchr(text, ')');  // the name may hold anything
  if (!after_name || std::strlen(after_name) < 5 || after_name[2] == 'Z') return -1;
  return static_cast<pid_t>(std::strtol(after_name + 4, nullptr, 10));
}

std::multimap<pid_t, pid_t> children_by_parent() {
  std::multimap<pid_t, pid_t> children;
  DIR* folder = ::opendir("/proc");
  if (!folder) return children;
  while (const dirent* entry = ::readdir(folder)) {
    pid_t pid = 0;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, pid).ptr != end) continue;
    const pid_t parent = parent_of(entry->d_name);
    if (parent > 0) children.emplace(parent, pid);
  }
  ::closedir(folder);
  return children;
}

}  // namespace

std::vector<pid_t> descendants(pid_t root, const std::vector<pid_t>& except) {
  const std::multimap<pid_t, pid_t> children = children_by_parent();
  std::vector<pid_t> found{root};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto [begin, end] = children.equal_range(found[i]);
    for (auto it = begin; it != end; ++it) {
      if (std::find(except.begin(), except.end(), it->second) == except.end()) {
        found.push_back(it->second);
      }
    }
  }
  found.erase(found.begin());
  return found;
}

int count_processes() {
  int found = 0;
  DIR* folder = ::opendir("/proc");
  while (const dirent* entry = folder ? ::readdir(folder) : nullptr) {
    const std::string path = std::string("/proc/") + entry->d_name + "/task";
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || status.st_uid != ::geteuid()) continue;
    found += static_cast<int>(status.st_nlink) - 2;  // a folder for each thread
  }
  if (folder) ::closedir(folder);
  return found;
}

void signal_descendants(pid_t root, int signal, const std::vector<pid_t>& except) {
  for (const pid_t pid : descendants(root, except)) ::kill(pid, signal);
}

void kill_descendants(pid_t root, const std::vector<pid_t>& except) {
  constexpr int kRounds = 2000;
  std::set<pid_t> seen;
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<pid_t> living = descendants(root, except);
    // Stopping all before killing any keeps a fork bomb from refilling the tree.
    for (const pid_t pid : living) ::kill(pid, SIGSTOP);
    for (const pid_t pid : living) ::kill(pid, SIGKILL);
    seen.insert(living.begin(), living.end());
    if (root == ::getpid()) {
      for (const pid_t pid : seen) ::waitpid(pid, nullptr, WNOHANG);
    }
    if (living.empty()) return;
    ::usleep(round < 10 ? 200 : 2000);
  }
}

}  // namespace corvid::sandbox
