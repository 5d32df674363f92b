// Hostile acts on processes, the kernel, the network and the terminal.
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/sandbox/hostile.h"

namespace corvid::sandbox {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class HostileProcesses : public Hostile {};

// A process outside that the command must not reach.
class Victim {
 public:
  Victim() : pid_(::fork()) {
    if (pid_ == 0) {
      ::pause();
      ::_exit(0);
    }
  }
  ~Victim() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::string pid() const { return std::to_string(pid_); }
  bool alive() const { return ::waitpid(pid_, nullptr, WNOHANG) == 0; }
  // Waits for its death: a signal sent is not yet a process ended.
  bool dies() const {
    siginfo_t how{};
    return ::waitid(P_PID, pid_, &how, WEXITED | WNOWAIT) == 0 && how.si_status == SIGKILL;
  }

 private:
  pid_t pid_;
};

TEST_F(HostileProcesses, AForkBombEndsAndSaysSo) {
  policy_.limits.processes = 100;
  EXPECT_EQ(free("./attack fork 200").exit_code, 0);
  EXPECT_NE(confined("./attack fork 400").exit_code, 0);
  const ProcessResult bomb = confined("bomb() { bomb | bomb & }; bomb; sleep 15");
  EXPECT_FALSE(bomb.timed_out);
  ASSERT_THAT(bomb.notices, Not(IsEmpty()));
  EXPECT_THAT(bomb.notices[0], HasSubstr("more than 100 processes"));
}

TEST_F(HostileProcesses, AMemoryBombEndsAndSaysSo) {
  policy_.limits.memory_bytes = 200 << 20;
  EXPECT_EQ(free("./attack memory 400").exit_code, 0);
  const ProcessResult one = confined("./attack memory 400");
  EXPECT_EQ(one.signal, SIGKILL);
  ASSERT_THAT(one.notices, Not(IsEmpty()));
  EXPECT_THAT(one.notices[0], HasSubstr("more than 200 MiB of memory"));
  EXPECT_EQ(confined("./attack memories 8 50").signal, SIGKILL);
  EXPECT_EQ(confined("./attack memory 50").exit_code, 0);
}

TEST_F(HostileProcesses, ComesAfterWhatRunsOutside) {
  EXPECT_GT(std::stoi(confined("nice").output), std::stoi(free("nice").output));
  EXPECT_EQ(confined("cat /proc/self/oom_score_adj").output, "1000\n");
  deadline_ = std::chrono::seconds(1);
  EXPECT_TRUE(confined("while :; do :; done & while :; do :; done").timed_out);
}

TEST_F(HostileProcesses, KillsProcessesOutside) {
  const Victim first;
  free("./attack kill " + first.pid());
  EXPECT_TRUE(first.dies());
  const Victim second;
  confined("./attack kill " + second.pid() + "; kill -9 " + second.pid() + "; kill -9 -1");
  EXPECT_TRUE(second.alive());
}

TEST_F(HostileProcesses, LooksIntoProcessesOutside) {
  const Victim victim;
  expect_refused("ptrace " + victim.pid());
  expect_refused("process_vm " + victim.pid());
  expect_refused("pidfd_getfd " + victim.pid());
  EXPECT_TRUE(victim.alive());
}

TEST_F(HostileProcesses, ReadsTheEnvironmentOfProcessesOutside) {
  const std::string look = "grep -la KEY_OF_THE_AGENT /proc/[0-9]*/environ 2>/dev/null | wc -l";
  ASSERT_EQ(::setenv("KEY_OF_THE_AGENT", "hush", 1), 0);
  const pid_t agent = ::fork();  // exec puts the variable where others see it
  if (agent == 0) {
    ::execlp("sleep", "sleep", "1000", nullptr);
    ::_exit(1);
  }
  ::unsetenv("KEY_OF_THE_AGENT");
  EXPECT_THAT(free(look).output, Not(HasSubstr("0\n")));
  EXPECT_EQ(confined(look).output, "0\n");
  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);
}

TEST_F(HostileProcesses, SeesOnlyItsOwnProcesses) {
  if (!holds("pid namespace")) GTEST_SKIP() << "needs a pid namespace";
  // The shell counts itself and its keeper; the parts of a pipeline would start in any order.
  EXPECT_EQ(confined("set -- /proc/[0-9]*; echo $#").output, "2\n");
}

TEST_F(HostileProcesses, LooksIntoItsKeeper) {
  if (!holds("pid namespace")) GTEST_SKIP() << "needs a pid namespace";
  EXPECT_NE(confined("./attack ptrace 1").exit_code, 0);
  EXPECT_NE(confined("./attack process_vm 1").exit_code, 0);
  EXPECT_NE(confined("cat /proc/1/environ /proc/1/maps").exit_code, 0);
  EXPECT_THAT(confined("kill -9 1; echo still here").output, HasSubstr("still here\n"));
}

TEST_F(HostileProcesses, DebuggersOfItsOwnProcessesWork) {
  if (!holds("pid namespace")) GTEST_SKIP() << "needs a pid namespace";
  EXPECT_EQ(confined("sleep 10 & ./attack ptrace $!").exit_code, 0);
}

TEST_F(HostileProcesses, LeavesItsNamespaces) {
  expect_refused("unshare");
  expect_refused("clone");
  expect_refused("clone3");
}

TEST_F(HostileProcesses, AsksTheKernelForDangerousThings) {
  for (const char* act : {"io_uring", "bpf", "userfaultfd", "keyctl"}) expect_refused(act);
}

TEST_F(HostileProcesses, EntersTheKernelByAnotherDoor) {
  for (const char* act : {"i386", "x32"}) {
    expect_refused(act);
    EXPECT_EQ(confined(std::string("exec ./attack ") + act).signal, SIGSYS) << act;
  }
}

TEST_F(HostileProcesses, LiftsItsLimits) {
  EXPECT_NE(confined("./attack rlimit").exit_code, 0);
  EXPECT_NE(confined("ulimit -n 100000").exit_code, 0);
  EXPECT_EQ(confined("ulimit -c; nice").output, "0\n5\n");
  EXPECT_EQ(confined("cat /proc/self/oom_score_adj; echo 0 > /proc/self/oom_score_adj; "
                     "cat /proc/self/oom_score_adj")
                .output.substr(0, 5),
            "1000\n");
}

TEST_F(HostileProcesses, HasNoPrivileges) {
  const std::string status = confined("cat /proc/self/status; id -u").output;
  for (const char* line :
       {"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
        "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"}) {
    EXPECT_THAT(status, HasSubstr(line));
  }
  if (!holds("user namespace")) GTEST_SKIP() << "needs a user namespace";
  EXPECT_THAT(status, HasSubstr("CapBnd:\t0000000000000000"));
  EXPECT_THAT(status, Not(HasSubstr("\n0\n")));  // not root, even as root
}

TEST_F(HostileProcesses, InheritsNoDescriptors) {
  std::vector<int> open;
  for (int i = 0; i < 50; ++i) open.push_back(::dup(0));  // not close-on-exec
  EXPECT_EQ(confined("ls /proc/self/fd | sort -n | tr '\\n' ' '").output, "0 1 2 3 ");
  for (const int fd : open) ::close(fd);
}

TEST_F(HostileProcesses, TypesIntoATerminal) {
  expect_refused("tiocsti");
}

// Listens on every kind of address that the machine has.
class HostileNetwork : public Hostile {
 protected:
  void SetUp() override {
    listen_inet();
    listen_unix(outside("socket").string(), false);
    listen_unix("corvid-hostile-" + std::to_string(::getpid()), true);
    answerer_ = std::thread([this] {
      while (!over_) {
        char byte;
        sockaddr_in from{};
        socklen_t size = sizeof from;
        if (::recvfrom(udp_, &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &size) == 1) {
          ::sendto(udp_, "y", 1, 0, reinterpret_cast<sockaddr*>(&from), size);
        }
      }
    });
  }
  void TearDown() override {
    over_ = true;
    answerer_.join();
    for (const int fd : open_) ::close(fd);
  }
  std::string port() const { return std::to_string(port_); }

 private:
  void listen_inet() {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_any;
    socklen_t size = sizeof address;
    const int tcp = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::bind(tcp, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(tcp, 100);
    ::getsockname(tcp, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin6_port);
    sockaddr_in plain{};
    plain.sin_family = AF_INET;
    plain.sin_port = address.sin6_port;
    udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ::bind(udp_, reinterpret_cast<sockaddr*>(&plain), sizeof plain);
    const timeval short_wait{0, 50'000};
    ::setsockopt(udp_, SOL_SOCKET, SO_RCVTIMEO, &short_wait, sizeof short_wait);
    open_ = {tcp, udp_};
  }
  void listen_unix(const std::string& path, bool is_abstract) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = (is_abstract ? std::string(1, 0) : std::string()) + path;
    std::memcpy(address.sun_path, name.data(), name.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::bind(fd, reinterpret_cast<sockaddr*>(&address),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size()));
    ::listen(fd, 100);
    open_.push_back(fd);
  }

  int port_ = 0, udp_ = -1;
  std::vector<int> open_;
  std::thread answerer_;
  std::atomic<bool> over_{false};
};

TEST_F(HostileNetwork, ReachesNothingOfTheMachine) {
  for (const char* act : {"tcp ", "tcp6 ", "mptcp ", "fastopen ", "udp ", "sctp "}) {
    expect_refused(act + port());
  }
  expect_refused("unix " + outside("socket").string());
  expect_refused("abstract corvid-hostile-" + std::to_string(::getpid()));
}

TEST_F(HostileNetwork, OpensNoStrangeSockets) {
  for (const char* act : {"socket 16 3 0", "socket 17 3 0", "socket 40 1 0", "socket 2 3 1",
                          "socket 2 2 1", "socket 38 5 0", "socket 2 1 132", "socket 2 1 262"}) {
    expect_refused(act);  // netlink, packet, vsock, raw, ping, alg, SCTP, MPTCP
  }
}

TEST_F(HostileNetwork, ResolvesNoNames) {
  EXPECT_NE(confined("getent ahostsv4 example.com").exit_code, 0);
}

TEST_F(HostileNetwork, IsReachedWhenAllowed) {
  policy_.network = true;
  EXPECT_EQ(confined("./attack tcp " + port()).exit_code, 0);
  EXPECT_NE(confined("./attack unix " + outside("socket").string()).exit_code, 0);
  EXPECT_NE(confined("./attack abstract corvid-hostile-" + std::to_string(::getpid())).exit_code,
            0);
  EXPECT_NE(confined("./attack socket 40 1 0").exit_code, 0);
}

TEST_F(HostileNetwork, ServersOfItsOwnWorkInside) {
  if (!holds("network namespace")) GTEST_SKIP() << "needs a network namespace";
  const ProcessResult result = confined(
      "python3 -m http.server 8000 >/dev/null 2>&1 & "
      "for i in $(seq 100); do ./attack tcp 8000 >/dev/null && echo up && exit; sleep 0.05; done");
  EXPECT_EQ(result.output, "up\n");
}

}  // namespace
}  // namespace corvid::sandbox
