// One hostile act, named by the first argument. Exit code 0: it worked, which is the harm; 1: it
// was refused, and errno is printed; 2: not known.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace {

using Arguments = std::vector<std::string>;

int number(const Arguments& arguments, std::size_t i) {
  return i < arguments.size() ? std::atoi(arguments[i].c_str()) : 0;
}

bool worked(long result) {
  return result >= 0;
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool connect_inet(int protocol, int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, protocol);
  const sockaddr_in address = loopback(port);
  return fd >= 0 &&
         worked(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

bool connect_inet6(int port) {
  const int fd = ::socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<std::uint16_t>(port));
  address.sin6_addr = in6addr_loopback;
  return fd >= 0 &&
         worked(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

bool fast_open(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = loopback(port);
  return fd >= 0 && worked(::sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
                                    reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

// Sends a datagram and waits for the answer of the listener.
bool udp(int port) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in address = loopback(port);
  if (fd < 0 || !worked(::sendto(fd, "x", 1, 0, reinterpret_cast<const sockaddr*>(&address),
                                 sizeof address))) {
    return false;
  }
  const timeval patience{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char answer;
  return ::recv(fd, &answer, 1, 0) == 1;
}

bool connect_unix(const std::string& path, bool is_abstract) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = (is_abstract ? std::string(1, 0) : std::string()) + path;
  std::memcpy(address.sun_path, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  return fd >= 0 && worked(::connect(fd, reinterpret_cast<const sockaddr*>(&address), size));
}

bool type_into_terminal() {
  int controller, terminal;
  if (::openpty(&controller, &terminal, nullptr, nullptr, nullptr) != 0) return false;
  ::setsid();
  ::ioctl(terminal, TIOCSCTTY, 0);
  char letter = 'x';
  return worked(::ioctl(terminal, TIOCSTI, &letter));
}

// The harm needs a console of the kernel; EPERM and not ENOTTY says that nobody even looked.
bool use_console() {
  int controller, terminal;
  if (::openpty(&controller, &terminal, nullptr, nullptr, nullptr) != 0) return false;
  char paste = 3;
  return worked(::ioctl(terminal, TIOCLINUX, &paste)) || errno == ENOTTY;
}

bool fork_many(int n) {
  for (int i = 0; i < n; ++i) {
    const pid_t child = ::fork();
    if (child < 0) return false;
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
  }
  ::usleep(500'000);
  return true;
}

bool use_memory(int mebibytes) {
  const std::size_t size = static_cast<std::size_t>(mebibytes) << 20;
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  std::memset(memory, 1, size);
  ::usleep(500'000);
  return true;
}

bool use_memory_in_many(int processes, int mebibytes) {
  for (int i = 0; i < processes; ++i) {
    if (::fork() == 0) {
      use_memory(mebibytes);
      ::pause();
    }
  }
  ::usleep(1'500'000);
  return true;
}

bool set_up_io_uring() {
  io_uring_params parameters{};
  return worked(::syscall(SYS_io_uring_setup, 4, &parameters));
}

bool load_bpf() {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = 4;
  attributes.value_size = 4;
  attributes.max_entries = 1;
  return worked(::syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes));
}

bool lift_file_limit() {
  rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
  return worked(::setrlimit(RLIMIT_FSIZE, &limit));
}

bool write_text(const char* path, const char* text) {
  const int fd = ::open(path, O_WRONLY);
  return fd >= 0 && ::write(fd, text, std::strlen(text)) > 0;
}

bool steal_descriptor(int pid) {
  const long handle = ::syscall(SYS_pidfd_open, pid, 0);
  return handle >= 0 && worked(::syscall(SYS_pidfd_getfd, handle, 0, 0));
}

bool read_memory(int pid) {
  char bytes[8];
  iovec local{bytes, sizeof bytes};
  iovec remote{reinterpret_cast<void*>(&use_memory), sizeof bytes};
  errno = 0;
  // EFAULT says that the memory could be looked at, just not there.
  return ::process_vm_readv(pid, &local, 1, &remote, 1, 0) > 0 || errno == EFAULT;
}

bool clone3_into_namespace() {
  struct {
    std::uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  } arguments{CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0};
  const long child = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child == 0) ::_exit(0);
  return child > 0;
}

bool clone_into_namespace() {
  const long child = ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) ::_exit(0);
  return child > 0;
}

#ifdef __x86_64__
bool call_as_i386() {
  long result;
  asm volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");  // getpid
  return result > 0;
}

bool call_as_x32() {
  return ::syscall(0x40000000 | 39) > 0;  // getpid
}
#else
bool call_as_i386() {
  return false;
}
bool call_as_x32() {
  return false;
}
#endif

bool make_set_user_id(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0700);
  struct stat status {};
  return fd >= 0 && ::fchmod(fd, 04755) == 0 && ::fstat(fd, &status) == 0 &&
         (status.st_mode & S_ISUID);
}

bool set_attribute(const std::string& path) {
  return worked(::setxattr(path.c_str(), "user.evil", "x", 1, 0));
}

// Children of a child that has ended, which end too. Works when nobody sweeps up after them.
bool leave_orphans(int n) {
  const pid_t parent = ::fork();
  if (parent == 0) {
    for (int i = 0; i < n; ++i) {
      if (::fork() == 0) ::_exit(0);
    }
    ::_exit(0);
  }
  ::waitpid(parent, nullptr, 0);
  for (int i = 0; i < 200; ++i) {
    const int code = std::system("! grep -qs '^State:.Z' /proc/[0-9]*/status");
    if (code == 0) return false;
    ::usleep(10'000);
  }
  return true;
}

// Orphans that end one after the other, one every 20 ms.
bool leave_dying(int n) {
  const pid_t parent = ::fork();
  if (parent == 0) {
    for (int i = 0; i < n; ++i) {
      if (::fork() != 0) continue;
      ::usleep(static_cast<useconds_t>(i) * 20'000);
      ::_exit(0);
    }
    ::_exit(0);
  }
  return ::waitpid(parent, nullptr, 0) == parent;
}

using Act = std::function<bool(const Arguments&)>;

const std::map<std::string, Act>& acts() {
  static const std::map<std::string, Act> all = {
      {"tcp", [](auto& a) { return connect_inet(0, number(a, 0)); }},
      {"mptcp", [](auto& a) { return connect_inet(262, number(a, 0)); }},
      {"sctp", [](auto& a) { return connect_inet(132, number(a, 0)); }},
      {"tcp6", [](auto& a) { return connect_inet6(number(a, 0)); }},
      {"fastopen", [](auto& a) { return fast_open(number(a, 0)); }},
      {"udp", [](auto& a) { return udp(number(a, 0)); }},
      {"socket",
       [](auto& a) { return worked(::socket(number(a, 0), number(a, 1), number(a, 2))); }},
      {"unix", [](auto& a) { return connect_unix(a.at(0), false); }},
      {"abstract", [](auto& a) { return connect_unix(a.at(0), true); }},
      {"ptrace", [](auto& a) { return worked(::ptrace(PTRACE_SEIZE, number(a, 0), 0, 0)); }},
      {"process_vm", [](auto& a) { return read_memory(number(a, 0)); }},
      {"pidfd_getfd", [](auto& a) { return steal_descriptor(number(a, 0)); }},
      {"kill", [](auto& a) { return worked(::kill(number(a, 0), SIGKILL)); }},
      {"unshare", [](auto&) { return worked(::unshare(CLONE_NEWUSER)); }},
      {"clone", [](auto&) { return clone_into_namespace(); }},
      {"clone3", [](auto&) { return clone3_into_namespace(); }},
      {"remount",
       [](auto& a) {
         return worked(::mount(nullptr, a.at(0).c_str(), nullptr, MS_REMOUNT | MS_BIND, nullptr));
       }},
      {"umount", [](auto& a) { return worked(::umount2(a.at(0).c_str(), MNT_DETACH)); }},
      {"io_uring", [](auto&) { return set_up_io_uring(); }},
      {"bpf", [](auto&) { return load_bpf(); }},
      {"userfaultfd", [](auto&) { return worked(::syscall(SYS_userfaultfd, 1)); }},
      {"keyctl", [](auto&) { return worked(::syscall(SYS_keyctl, 0, -3, 1)); }},
      {"i386", [](auto&) { return call_as_i386(); }},
      {"x32", [](auto&) { return call_as_x32(); }},
      {"tiocsti", [](auto&) { return type_into_terminal(); }},
      {"rlimit", [](auto&) { return lift_file_limit(); }},
      {"write", [](auto& a) { return write_text(a.at(0).c_str(), a.at(1).c_str()); }},
      {"fork", [](auto& a) { return fork_many(number(a, 0)); }},
      {"memory", [](auto& a) { return use_memory(number(a, 0)); }},
      {"memories", [](auto& a) { return use_memory_in_many(number(a, 0), number(a, 1)); }},
      {"tioclinux", [](auto&) { return use_console(); }},
      {"xattr", [](auto& a) { return set_attribute(a.at(0)); }},
      {"orphans", [](auto& a) { return leave_orphans(number(a, 0)); }},
      {"dying", [](auto& a) { return leave_dying(number(a, 0)); }},
      {"root", [](auto&) { return ::geteuid() == 0; }},
      {"setuid", [](auto& a) { return make_set_user_id(a.at(0)); }},
  };
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  const auto act = argc > 1 ? acts().find(argv[1]) : acts().end();
  if (act == acts().end()) return 2;
  errno = 0;
  const bool harm = act->second(Arguments(argv + 2, argv + argc));
  std::printf("%s: %s\n", argv[1], harm ? "worked" : std::strerror(errno));
  return harm ? 0 : 1;
}
