#include "sandbox/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "sandbox/error.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;

// Debian 12's headers end at ABI 2, so the numbers are here (uapi/linux/landlock.h of Linux 7.1).
struct RulesetAttributes {
  std::uint64_t handled_fs;
  std::uint64_t handled_net;  // ABI 4
  std::uint64_t scoped;       // ABI 6
};
struct __attribute__((packed)) PathBeneath {
  std::uint64_t allowed;
  std::int32_t parent;
};
constexpr unsigned kVersionFlag = 1;
constexpr int kPathBeneathRule = 1;

constexpr std::uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2,
                        kReadFolder = 1 << 3, kTruncate = 1 << 14, kIoctlDevice = 1 << 15,
                        kResolveUnix = 1 << 16;
constexpr std::uint64_t kAllAbi1 = (1 << 13) - 1, kRefer = 1 << 13;
constexpr std::uint64_t kRead = kExecute | kReadFile | kReadFolder;
constexpr std::uint64_t kFileRights =
    kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDevice | kResolveUnix;
constexpr std::uint64_t kTcpBindAndConnect = 3;
constexpr std::uint64_t kAbstractSocketsAndSignals = 3;

std::uint64_t handled_rights(int abi) {
  std::uint64_t rights = kAllAbi1;
  if (abi >= 2) rights |= kRefer;
  if (abi >= 3) rights |= kTruncate;
  if (abi >= 5) rights |= kIoctlDevice;
  if (abi >= 9) rights |= kResolveUnix;  // servers of the machine, whenever they came
  return rights;
}

std::size_t attributes_size(int abi) {
  return abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
}

class Rules {
 public:
  Rules(int abi, std::uint64_t net, std::uint64_t scoped);
  // Paths that are not there are left out.
  void allow(const fs::path& path, std::uint64_t rights);
  // Reading of everything below `folder` but what the policy hides.
  void allow_reading(const fs::path& folder, const Policy& policy);
  Descriptor take() { return std::move(ruleset_); }

 private:
  std::uint64_t handled_;
  Descriptor ruleset_;
};

Rules::Rules(int abi, std::uint64_t net, std::uint64_t scoped) : handled_(handled_rights(abi)) {
  const RulesetAttributes attributes{handled_, net, scoped};
  ruleset_.reset(static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &attributes, attributes_size(abi), 0)));
  if (!ruleset_) throw SandboxError(std::string("cannot make rules: ") + std::strerror(errno));
}

void Rules::allow(const fs::path& path, std::uint64_t rights) {
  const Descriptor place(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status {};
  if (!place || ::fstat(place.get(), &status) != 0) return;
  if (!S_ISDIR(status.st_mode)) rights &= kFileRights;
  const PathBeneath rule{rights & handled_, place.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset_.get(), kPathBeneathRule, &rule, 0) != 0) {
    throw SandboxError("cannot add a rule for " + path.string() + ": " + std::strerror(errno));
  }
}

void Rules::allow_reading(const fs::path& folder, const Policy& policy) {
  const bool hides_something =
      std::any_of(policy.secrets.begin(), policy.secrets.end(),
                  [&](const fs::path& secret) { return is_beneath(secret, folder); });
  if (!hides_something) return allow(folder, kRead);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const fs::path& path = entry.path();
    const bool secret =
        std::find(policy.secrets.begin(), policy.secrets.end(), path) != policy.secrets.end();
    if (!secret && !entry.is_symlink(error)) allow_reading(path, policy);
  }
}

}  // namespace

int landlock_abi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersionFlag);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

Descriptor landlock_rules(const Policy& policy, const LandlockScope& scope) {
  const int abi = landlock_abi();
  if (abi == 0) {
    throw SandboxError(errno == EOPNOTSUPP ? "it is switched off in this kernel"
                                           : "this kernel does not have it (Linux 5.13 has)");
  }
  const bool restrict_tcp = abi >= 4 && !policy.network && !scope.private_network;
  Rules rules(abi, restrict_tcp ? kTcpBindAndConnect : 0,
              abi >= 6 ? kAbstractSocketsAndSignals : 0);
  const std::uint64_t everything = handled_rights(abi);
  if (scope.private_view) {
    rules.allow("/", kRead);
    for (const char* path : {"/tmp", "/var/tmp", "/dev/shm"}) rules.allow(path, everything);
    rules.allow("/dev", kRead | kWriteFile | kIoctlDevice);
    if (policy.network) rules.allow("/run/systemd/resolve", kRead | kResolveUnix);
  } else {
    rules.allow_reading("/", policy);
    for (const char* name : {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts"}) {
      rules.allow(fs::path("/dev") / name, kRead | kWriteFile | kIoctlDevice);
    }
    rules.allow(scope.tmp, everything);
    for (const fs::path& path : policy.readable) rules.allow(path, kRead);
  }
  rules.allow(policy.workspace, everything);
  for (const fs::path& path : policy.writable) rules.allow(path, everything);
  return rules.take();
}

void enter_landlock(const Descriptor& rules) {
  if (::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) {
    throw SandboxError(std::string("cannot enter: ") + std::strerror(errno));
  }
}

}  // namespace corvid::sandbox
