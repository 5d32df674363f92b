#include "sandbox/view.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <utility>

#include "sandbox/broken_rung.h"
#include "sandbox/error.h"
#include "sandbox/mounts.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kTame = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
constexpr std::uint64_t kFrozen = kTame | MOUNT_ATTR_RDONLY;
constexpr std::array kDevices = {"null", "zero", "full", "random", "urandom", "tty"};
constexpr const char* kHiddenFile = "/dev/.hidden";  // what a hidden file shows: nothing, to nobody

[[noreturn]] void fail(const std::string& what) {
  throw SandboxError("cannot " + what + ": " + std::strerror(errno));
}

// A step that only what the policy names can make fail: all that it needs of the machine has been
// done before.
template <class Step>
void meet(Step step) {
  try {
    step();
  } catch (const SandboxError& error) {
    throw UnmetPolicy(error.what());
  }
}

bool is_there(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

// The new root while it is being built beside the old one.
class Stage {
 public:
  Stage();

  // Copies of what the old root has, for putting on top of the new one.
  void keep(const fs::path& path, std::uint64_t attributes);
  void place_kept(const fs::path& path);

  void place(const Descriptor& mount, const fs::path& path);
  void place_if_there(const Descriptor& mount, const fs::path& path);
  const Descriptor& root() const { return root_; }
  const Descriptor& scratch() const { return scratch_; }
  void make_scratch(std::int64_t bytes, const std::string& git_config);
  void enter();

 private:
  Descriptor root_;     // the read-only copy of everything
  Descriptor stage_;    // the folder that both hang in
  Descriptor scratch_;  // the private tmp
  std::vector<std::pair<fs::path, Descriptor>> kept_;
};

Stage::Stage() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    fail("make mounts private");
  }
  root_ = clone_mount(AT_FDCWD, "/");
  restrict_mount(root_, kFrozen);
}

void Stage::keep(const fs::path& path, std::uint64_t attributes) {
  Descriptor copy = clone_mount(AT_FDCWD, path);
  if (attributes) restrict_mount(copy, attributes);
  kept_.emplace_back(path, std::move(copy));
}

void Stage::place_kept(const fs::path& path) {
  for (const auto& [kept, copy] : kept_) {
    if (kept == path) place(copy, path);
  }
}

void Stage::place(const Descriptor& mount, const fs::path& path) {
  Descriptor target = open_in(root_, path);
  if (!target && make_folders_in(root_, path)) target = open_in(root_, path);
  if (!target) fail("find " + path.string() + " in the sandbox");
  attach(mount, target);
}

void Stage::place_if_there(const Descriptor& mount, const fs::path& path) {
  if (const Descriptor target = open_in(root_, path)) attach(mount, target);
}

void Stage::make_scratch(std::int64_t bytes, const std::string& git_config) {
  // Everything hangs in a folder that the new root covers with its own anyway.
  stage_ = new_mount("tmpfs", {"size=65536", "mode=0755"}, kTame);
  ::mkdirat(stage_.get(), "root", 0755);
  ::mkdirat(stage_.get(), "scratch", 0755);
  const Descriptor folder(::open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) fail("find /tmp");
  attach(stage_, folder);
  attach(root_, open_in(stage_, "root"));

  scratch_ = new_mount("tmpfs", {"size=" + std::to_string(bytes), "mode=0755"}, kTame);
  attach(scratch_, open_in(stage_, "scratch"));
  for (const char* name : {"tmp", "var", "shm"}) {
    ::mkdirat(scratch_.get(), name, 0777);
    ::fchmodat(scratch_.get(), name, 01777, 0);
  }
  ::mkdirat(scratch_.get(), "tmp/home", 0700);
  const Descriptor config(
      ::openat(scratch_.get(), "tmp/home/.gitconfig", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (::write(config.get(), git_config.data(), git_config.size()) < 0) fail("write a file");
}

void Stage::enter() {
  if (::fchdir(root_.get()) != 0) fail("enter the new root");
  if (::syscall(SYS_pivot_root, ".", ".") == 0) {
    if (::umount2(".", MNT_DETACH) != 0) fail("leave the old root");
  } else if (::chroot(".") != 0) {  // inside a chroot there is no root to pivot from
    fail("change the root");
  }
  if (::chdir("/") != 0) fail("enter the new root");
}

void build_devices(Stage& stage) {
  std::vector<Descriptor> originals;
  for (const char* name : kDevices) {
    const std::string path = std::string("/dev/") + name;
    originals.push_back(is_there(path) ? clone_mount(AT_FDCWD, path) : Descriptor());
  }
  const Descriptor devices = new_mount("tmpfs", {"size=65536", "mode=0755"}, MOUNT_ATTR_NOSUID);
  for (const char* name : {"pts", "shm"}) ::mkdirat(devices.get(), name, 0755);
  for (const char* name : kDevices) {
    Descriptor(::openat(devices.get(), name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  }
  Descriptor(::openat(devices.get(), fs::path(kHiddenFile).filename().c_str(),
                      O_WRONLY | O_CREAT | O_CLOEXEC, 0));
  ::symlinkat("/proc/self/fd", devices.get(), "fd");
  ::symlinkat("/proc/self/fd/0", devices.get(), "stdin");
  ::symlinkat("/proc/self/fd/1", devices.get(), "stdout");
  ::symlinkat("/proc/self/fd/2", devices.get(), "stderr");
  ::symlinkat("pts/ptmx", devices.get(), "ptmx");
  stage.place(devices, "/dev");
  for (std::size_t i = 0; i < originals.size(); ++i) {
    if (originals[i]) stage.place(originals[i], std::string("/dev/") + kDevices[i]);
  }
  stage.place(new_mount("devpts", {"newinstance", "ptmxmode=0666", "mode=0620"},
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
              "/dev/pts");
  stage.place(clone_mount(stage.scratch().get(), "shm"), "/dev/shm");
}

// A part of /run that programs need, and nothing else of it: sockets live there.
void build_run(Stage& stage, bool network) {
  std::vector<std::pair<fs::path, Descriptor>> needed;
  for (const char* path : {"/run/current-system", "/run/opengl-driver", "/run/systemd/resolve"}) {
    const bool resolver = std::string_view(path) == "/run/systemd/resolve";
    if (!is_there(path) || (resolver && !network)) continue;
    needed.emplace_back(path, clone_mount(AT_FDCWD, path));
    restrict_mount(needed.back().second, kFrozen);
  }
  stage.place_if_there(new_mount("tmpfs", {"size=65536", "mode=0755"}, kTame), "/run");
  for (const auto& [path, copy] : needed) stage.place(copy, path);
}

bool is_still_at(const Descriptor& root, const fs::path& path, const Descriptor& file) {
  const Descriptor other = open_in(root, path);
  struct stat before {};
  struct stat now {};
  return other && ::fstat(other.get(), &now) == 0 && ::fstat(file.get(), &before) == 0 &&
         now.st_ino == before.st_ino && now.st_dev == before.st_dev;
}

// Mounts something on what is at the path, if anything is. Programs outside may put another in its
// place meanwhile: a server its socket, git its configuration.
template <class Step>
void mount_on(const Descriptor& root, const fs::path& path, bool links, Step step) {
  constexpr int kTries = 8;
  for (int tries = 1;; ++tries) {
    const Descriptor target = open_in(root, path, links);
    struct stat status {};
    if (!target || ::fstat(target.get(), &status) != 0) return;
    try {
      return step(target, status);
    } catch (const SandboxError&) {
      if (tries == kTries || is_still_at(root, path, target)) throw;
    }
  }
}

// Shows an empty folder or file in place of a secret. A folder on the way to something that is to
// be seen can be passed through.
void hide(const Descriptor& root, const fs::path& secret, const std::vector<fs::path>& shown) {
  mount_on(root, secret, true, [&](const Descriptor& target, const struct stat& status) {
    if (!S_ISDIR(status.st_mode)) {
      const Descriptor nothing = open_in(root, kHiddenFile);
      const Descriptor cover = clone_mount(nothing.get(), "");
      restrict_mount(cover, kFrozen);
      return attach(cover, target);
    }
    bool passed = false;
    for (const fs::path& path : shown) passed |= is_beneath(path, secret);
    const std::string mode = passed ? "mode=0755" : "mode=0000";
    const Descriptor cover = new_mount("tmpfs", {"size=65536", mode}, kTame);
    attach(cover, target);
    if (!passed) return restrict_mount(cover, kFrozen);
    for (const fs::path& path : shown) {
      if (is_beneath(path, secret)) make_folders_in(root, path);
    }
    restrict_mount(cover, kFrozen);
  });
}

// By position: the keepers of several commands read it at the same time.
std::string read_from_start(const Descriptor& file) {
  constexpr std::size_t kMostBytes = 4 << 20;
  std::string text;
  char part[16384];
  while (text.size() < kMostBytes) {
    const ssize_t n = ::pread(file.get(), part, sizeof part, static_cast<off_t>(text.size()));
    if (n <= 0) break;
    text.append(part, static_cast<std::size_t>(n));
  }
  return text;
}

bool leads_to_a_socket(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

// Servers that listen outside the folders hidden anyway: a socket can be connected to although it
// is on a read-only mount.
std::vector<fs::path> sockets_of_the_machine(const Descriptor& listeners,
                                             const std::vector<fs::path>& shown) {
  constexpr std::size_t kMaxSockets = 256;
  std::vector<fs::path> sockets;
  std::istringstream table(read_from_start(listeners));
  for (std::string line; std::getline(table, line) && sockets.size() < kMaxSockets;) {
    const std::size_t slash = line.find(" /");
    if (slash == std::string::npos) continue;
    const fs::path path = line.substr(slash + 1);
    const bool own = std::any_of(shown.begin(), shown.end(),
                                 [&](const fs::path& root) { return is_beneath(path, root); });
    if (!own && leads_to_a_socket(path)) sockets.push_back(path);
  }
  return sockets;
}

std::vector<fs::path> shown_paths(const Policy& policy) {
  std::vector<fs::path> shown{policy.workspace};
  shown.insert(shown.end(), policy.writable.begin(), policy.writable.end());
  shown.insert(shown.end(), policy.readable.begin(), policy.readable.end());
  std::sort(shown.begin(), shown.end());  // folders before what is in them
  return shown;
}

bool holds_any(const fs::path& secret, const std::vector<fs::path>& shown) {
  return std::any_of(shown.begin(), shown.end(),
                     [&](const fs::path& path) { return is_beneath(path, secret); });
}

// Linux 6.14 gave each PID namespace its own limit; before, writing would change the machine's.
bool has_own_pid_limit() {
  utsname system{};
  ::uname(&system);
  int major = 0, minor = 0;
  std::sscanf(system.release, "%d.%d", &major, &minor);
  return major > 6 || (major == 6 && minor >= 14);
}

void mount_proc(int processes) {
  const Descriptor proc =
      new_mount("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (has_own_pid_limit()) {
    constexpr int kReserved = 301;  // numbers below are not given out twice
    const Descriptor limit(::openat(proc.get(), "sys/kernel/pid_max", O_WRONLY | O_CLOEXEC));
    const std::string text = std::to_string(processes + kReserved);
    if (::write(limit.get(), text.data(), text.size()) < 0) fail("limit the number of processes");
  }
  // Read-only as a whole: nothing in /proc/sys, no sysrq, no limits that can be lifted.
  restrict_mount(proc, MOUNT_ATTR_RDONLY);
  const Descriptor target(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  attach(proc, target);
}

void protect(const Descriptor& root, const Protection& protection) {
  if (protection.hold == Hold::watched) return;
  mount_on(root, protection.path, false, [&](const Descriptor& target, const struct stat& status) {
    if (S_ISLNK(status.st_mode)) return;
    const Descriptor copy = clone_mount(target.get(), "");
    if (protection.hold == Hold::frozen) restrict_mount(copy, kFrozen);
    attach(copy, target);
  });
}

}  // namespace

Descriptor open_listeners() {
  return Descriptor(::open("/proc/net/unix", O_RDONLY | O_CLOEXEC));
}

void build_view(const Setup& setup, const Descriptor& listeners) {
  const Policy& policy = setup.policy;
  const std::vector<fs::path> shown = shown_paths(policy);
  const std::vector<fs::path> sockets = sockets_of_the_machine(listeners, shown);
  Stage stage;
  meet([&] {
    for (const fs::path& path : shown) {
      const bool only_read =
          std::find(policy.readable.begin(), policy.readable.end(), path) != policy.readable.end();
      stage.keep(path, only_read ? kFrozen : kTame);
    }
  });
  stage.make_scratch(policy.limits.tmp_bytes, setup.git_config);
  build_devices(stage);
  build_run(stage, policy.network);
  stage.place(clone_mount(stage.scratch().get(), "tmp"), "/tmp");
  stage.place_if_there(clone_mount(stage.scratch().get(), "var"), "/var/tmp");
  meet([&] {
    for (const fs::path& secret : policy.secrets) {
      if (holds_any(secret, shown)) hide(stage.root(), secret, shown);
    }
    for (const fs::path& path : shown) stage.place_kept(path);
    for (const fs::path& secret : policy.secrets) {
      if (!holds_any(secret, shown)) hide(stage.root(), secret, {});
    }
    for (const fs::path& socket : sockets) hide(stage.root(), socket, {});
  });
  stage.enter();
}

void finish_view(const Policy& policy, const std::vector<Protection>& protections, bool new_proc,
                 const Descriptor& listeners) {
  if (new_proc) mount_proc(policy.limits.processes);
  const Descriptor root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::vector<fs::path> own = shown_paths(policy);
  for (const char* path : {"/tmp", "/var/tmp", "/dev", "/run"}) own.emplace_back(path);
  meet([&] {
    for (const fs::path& socket : sockets_of_the_machine(listeners, own)) hide(root, socket, {});
    for (const Protection& protection : protections) protect(root, protection);
  });
}

}  // namespace corvid::sandbox
