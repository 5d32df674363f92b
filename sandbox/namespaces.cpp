#include "sandbox/namespaces.h"

#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "sandbox/broken_rung.h"
#include "sandbox/descriptor.h"
#include "sandbox/error.h"
#include "sandbox/setup.h"

namespace corvid::sandbox {
namespace {

constexpr unsigned kInsideUser = 1000;  // of a Corvid that runs as root

bool write_file(const char* path, const std::string& text) {
  const Descriptor file(::open(path, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string map_line(unsigned outside) {
  const unsigned inside = outside == 0 ? kInsideUser : outside;
  return std::to_string(inside) + " " + std::to_string(outside) + " 1\n";
}

}  // namespace

void enter_user_namespace() {
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  if (user == 0) ::setgroups(0, nullptr);
  enter_namespace(CLONE_NEWUSER);
  if (!write_file("/proc/self/setgroups", "deny") ||
      !write_file("/proc/self/uid_map", map_line(user)) ||
      !write_file("/proc/self/gid_map", map_line(group))) {
    throw BrokenRung(kUserRung, std::string("cannot map the user: ") + std::strerror(errno));
  }
}

void enter_namespace(int flag) {
  if (::unshare(flag) == 0) return;
  const int error = errno;
  std::string why = std::strerror(error);
  if (error == EPERM) why += " (the kernel or a container forbids it)";
  if (error == ENOSPC) why += " (a limit in /proc/sys/user is reached)";
  throw SandboxError(why);
}

void raise_loopback() {
  const Descriptor any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  ::ioctl(any.get(), SIOCSIFFLAGS, &request);  // without it there is just less inside
}

Descriptor listen_on_loopback(int port) {
  Descriptor listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!listening ||
      ::bind(listening.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listening.get(), SOMAXCONN) != 0) {
    throw SandboxError(std::string("cannot listen for the proxy: ") + std::strerror(errno));
  }
  return listening;
}

pid_t fork_into(int flags) {
  return static_cast<pid_t>(::syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
}

}  // namespace corvid::sandbox
