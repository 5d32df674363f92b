#include "sandbox/privileges.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "sandbox/error.h"

namespace corvid::sandbox {
namespace {

constexpr int kNicer = 5;  // than what runs outside: the model and the user go first

[[noreturn]] void fail(const char* what) {
  throw SandboxError(std::string("cannot ") + what + ": " + std::strerror(errno));
}

void limit(decltype(RLIMIT_CORE) resource, std::int64_t value) {
  rlimit now{};
  ::getrlimit(resource, &now);
  const rlim_t wanted = std::min<rlim_t>(static_cast<rlim_t>(value), now.rlim_max);
  const rlimit then{wanted, wanted};
  if (::setrlimit(resource, &then) != 0) fail("set a limit");
}

}  // namespace

void drop_privileges() {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);  // needs a capability; without, exec gives none
  }
  ::prctl(PR_SET_SECUREBITS, SECURE_ALL_BITS | SECURE_ALL_LOCKS, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) fail("drop capabilities");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("give up new privileges");
}

void enter_limits(const Limits& limits, int processes) {
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, limits.file_bytes);
  limit(RLIMIT_NOFILE, limits.open_files);
  limit(RLIMIT_NPROC, processes);
  limit(RLIMIT_RTPRIO, 0);
  ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) + kNicer);
}

}  // namespace corvid::sandbox
