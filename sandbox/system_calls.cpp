#include "sandbox/system_calls.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "sandbox/descriptor.h"
#include "sandbox/error.h"

namespace corvid::sandbox {
namespace {

constexpr std::uint64_t kLow32 = 0xFFFF'FFFF;  // the kernel looks at no more of an int

// Nothing a tool needs; each has let programs out of a sandbox, or acts on the whole machine.
constexpr const char* kRefused[] = {
    // other processes and the kernel's inside
    "pidfd_getfd", "kcmp", "process_madvise", "bpf", "perf_event_open", "userfaultfd",
    "lookup_dcookie",
    // keys
    "keyctl", "add_key", "request_key",
    // mounts, roots and namespaces
    "mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "setns", "open_by_handle_at",
    // the machine
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot",
    "swapon", "swapoff", "quotactl", "quotactl_fd", "acct", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "stime", "iopl", "ioperm", "vhangup", "syslog", "nfsservctl",
    "uselib", "ustat", "sysfs", "_sysctl", "vm86", "vm86old", "modify_ldt"};

// A program takes another way when these are not there, which the filter can look into.
constexpr const char* kAbsent[] = {"io_uring_setup", "io_uring_enter", "io_uring_register",
                                   "clone3", "openat2"};

constexpr int kNamespaceFlags[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,    CLONE_NEWNET,
                                   CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP, 0x80 /* time */};

class Filter {
 public:
  Filter();
  void refuse(const char* call, std::initializer_list<scmp_arg_cmp> when = {}, int error = EPERM);
  std::vector<sock_filter> compile() const;

 private:
  std::unique_ptr<void, decltype(&seccomp_release)> context_;
};

Filter::Filter() : context_(seccomp_init(SCMP_ACT_ALLOW), seccomp_release) {
  if (!context_ ||
      seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0) {
    throw SandboxError("cannot make a filter");
  }
  seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree, not a list
}

void Filter::refuse(const char* call, std::initializer_list<scmp_arg_cmp> when, int error) {
  const int number = seccomp_syscall_resolve_name(call);
  if (number < 0) return;  // not on this machine
  const int added =
      seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(static_cast<unsigned>(error)), number,
                             static_cast<unsigned>(when.size()), when.begin());
  if (added != 0) {
    throw SandboxError(std::string("cannot filter ") + call + ": " + std::strerror(-added));
  }
}

std::vector<sock_filter> Filter::compile() const {
  const Descriptor file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file || seccomp_export_bpf(context_.get(), file.get()) != 0) {
    throw SandboxError("cannot compile the filter");
  }
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  std::vector<sock_filter> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(file.get(), program.data(), static_cast<std::size_t>(size), 0) != size) {
    throw SandboxError("cannot read the filter");
  }
  return program;
}

void refuse_sockets(Filter& filter, const FilterScope& scope) {
  for (const char* call : {"socket", "socketpair"}) {
    filter.refuse(call, {SCMP_A0(SCMP_CMP_GT, AF_INET6)});  // netlink, packet, vsock, alg, ...
    for (unsigned family = 0; family <= AF_INET6; ++family) {
      const bool is_inet = family == AF_INET || family == AF_INET6;
      const bool is_unix = family == AF_UNIX;
      const bool unix_pair = is_unix && call[6] == 'p';
      if ((is_inet && scope.inet) || (is_unix && scope.unix_sockets) || unix_pair) continue;
      filter.refuse(call, {SCMP_A0(SCMP_CMP_EQ, family)});
    }
  }
  // Of the internet families only TCP and UDP: no raw, ICMP, SCTP, MPTCP.
  filter.refuse("socket", {SCMP_A1(SCMP_CMP_MASKED_EQ, 0xF, SOCK_RAW)});
  filter.refuse("socket", {SCMP_A2(SCMP_CMP_GT, 17)});
  for (const unsigned family : {AF_INET, AF_INET6}) {
    if (!scope.inet) break;
    filter.refuse("socket",
                  {SCMP_A0(SCMP_CMP_EQ, family), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xF, SOCK_SEQPACKET)});
    for (unsigned protocol = 1; protocol < 17; ++protocol) {
      if (protocol == 6) continue;
      filter.refuse("socket", {SCMP_A0(SCMP_CMP_EQ, family), SCMP_A2(SCMP_CMP_EQ, protocol)});
    }
  }
}

void refuse_set_user_id(Filter& filter) {
  filter.refuse("chmod", {SCMP_A1(SCMP_CMP_MASKED_EQ, S_ISUID, S_ISUID)});
  filter.refuse("fchmod", {SCMP_A1(SCMP_CMP_MASKED_EQ, S_ISUID, S_ISUID)});
  filter.refuse("fchmodat", {SCMP_A2(SCMP_CMP_MASKED_EQ, S_ISUID, S_ISUID)});
  filter.refuse("fchmodat2", {SCMP_A2(SCMP_CMP_MASKED_EQ, S_ISUID, S_ISUID)});
  filter.refuse("creat", {SCMP_A1(SCMP_CMP_MASKED_EQ, S_ISUID, S_ISUID)});
  filter.refuse("mknod", {SCMP_A1(SCMP_CMP_MASKED_EQ, S_ISUID, S_ISUID)});
  filter.refuse("mknodat", {SCMP_A2(SCMP_CMP_MASKED_EQ, S_ISUID, S_ISUID)});
  filter.refuse("open", {SCMP_A1(SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT),
                         SCMP_A2(SCMP_CMP_MASKED_EQ, S_ISUID, S_ISUID)});
  filter.refuse("openat", {SCMP_A2(SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT),
                           SCMP_A3(SCMP_CMP_MASKED_EQ, S_ISUID, S_ISUID)});
}

}  // namespace

std::vector<sock_filter> compile_filter(const FilterScope& scope) {
  Filter filter;
  for (const char* call : kRefused) filter.refuse(call);
  for (const char* call : kAbsent) filter.refuse(call, {}, ENOSYS);
  if (!scope.own_processes) {
    for (const char* call : {"ptrace", "process_vm_readv", "process_vm_writev"}) {
      filter.refuse(call);
    }
  }
  for (const int flag : kNamespaceFlags) {
    const auto bit = static_cast<std::uint64_t>(static_cast<unsigned>(flag));
    filter.refuse("clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit)});
    filter.refuse("unshare", {SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit)});
  }
  refuse_sockets(filter, scope);
  refuse_set_user_id(filter);
  // Typing into the terminal that Corvid itself runs in.
  for (const unsigned long request :
       {0x5412UL /* TIOCSTI */, 0x541CUL /* TIOCLINUX */, 0x5423UL /* TIOCSETD */}) {
    filter.refuse("ioctl", {SCMP_A1(SCMP_CMP_MASKED_EQ, kLow32, request)});
  }
  return filter.compile();
}

void enter_filter(const std::vector<sock_filter>& filter) {
  sock_fprog program{static_cast<unsigned short>(filter.size()),
                     const_cast<sock_filter*>(filter.data())};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    throw SandboxError(std::string("cannot enter: ") + std::strerror(errno));
  }
}

}  // namespace corvid::sandbox
