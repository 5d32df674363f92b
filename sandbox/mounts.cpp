#include "sandbox/mounts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/error.h"

namespace corvid::sandbox {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw SandboxError("cannot " + what + ": " + std::strerror(errno));
}

}  // namespace

Descriptor clone_mount(int folder, const std::filesystem::path& path) {
  const unsigned empty = path.empty() ? AT_EMPTY_PATH : 0;
  Descriptor mount(::open_tree(folder, path.c_str(),
                               OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | empty));
  if (!mount) fail("copy the mount at " + path.string());
  return mount;
}

void restrict_mount(const Descriptor& mount, std::uint64_t attributes) {
  mount_attr change{};
  change.attr_set = attributes;
  if (::mount_setattr(mount.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &change, sizeof change) != 0) {
    fail("restrict a mount");
  }
}

Descriptor new_mount(const char* type, const std::vector<std::string>& options,
                     std::uint64_t attributes) {
  const Descriptor context(::fsopen(type, FSOPEN_CLOEXEC));
  if (!context) fail(std::string("make a ") + type);
  for (const std::string& option : options) {
    const std::size_t equals = option.find('=');
    const std::string key = option.substr(0, equals);
    const int set = equals == std::string::npos
                        ? ::fsconfig(context.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
                        : ::fsconfig(context.get(), FSCONFIG_SET_STRING, key.c_str(),
                                     option.c_str() + equals + 1, 0);
    if (set != 0) fail(std::string("set ") + option + " of a " + type);
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    fail(std::string("make a ") + type);
  }
  Descriptor mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  if (!mount) fail(std::string("mount a ") + type);
  return mount;
}

void attach(const Descriptor& mount, const Descriptor& target) {
  if (::move_mount(mount.get(), "", target.get(), "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    fail("attach a mount");
  }
}

Descriptor open_in(const Descriptor& root, const std::filesystem::path& path, bool links) {
  const std::string relative = path.relative_path().string();
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (links ? 0 : RESOLVE_NO_SYMLINKS);
  const char* name = relative.empty() ? "." : relative.c_str();
  return Descriptor(static_cast<int>(::syscall(SYS_openat2, root.get(), name, &how, sizeof how)));
}

bool make_folders_in(const Descriptor& root, const std::filesystem::path& path) {
  std::filesystem::path made;
  for (const auto& part : path.relative_path()) {
    const Descriptor above = open_in(root, made);
    if (!above) return false;
    if (::mkdirat(above.get(), part.c_str(), 0755) != 0 && errno != EEXIST) return false;
    made /= part;
  }
  return true;
}

}  // namespace corvid::sandbox
