// Hostile acts on processes, the kernel and the terminal.
#include <signal.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

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

// Processes that end all the time give whoever watches over the memory something else to do.
TEST_F(HostileProcesses, AMemoryBombThatKeepsItsWatchBusyEndsToo) {
  policy_.limits.memory_bytes = 200 << 20;
  const std::string bomb = "./attack dying 150; exec ./attack memory 400";
  EXPECT_EQ(free(bomb).exit_code, 0);
  const ProcessResult result = confined(bomb);
  EXPECT_EQ(result.signal, SIGKILL);
  ASSERT_THAT(result.notices, Not(IsEmpty()));
  EXPECT_THAT(result.notices[0], HasSubstr("more than 200 MiB of memory"));
}

TEST_F(HostileProcesses, ComesAfterWhatRunsOutside) {
  const int outside = std::stoi(free("nice").output);
  EXPECT_EQ(std::stoi(confined("nice").output), std::min(outside + 5, 19));
  EXPECT_EQ(std::stoi(confined("nice -n -3 nice 2>/dev/null").output), std::min(outside + 5, 19));
  EXPECT_EQ(confined("cat /proc/self/oom_score_adj").output, "1000\n");
  deadline_ = std::chrono::seconds(1);
  EXPECT_TRUE(confined("while :; do :; done & while :; do :; done").timed_out);
}

TEST_F(HostileProcesses, KillsProcessesOutside) {
  const Victim first;
  free("./attack kill " + first.pid());
  EXPECT_TRUE(first.dies());
  const std::string all = "sleep 1000 & bash -c 'kill -9 -1'; jobs -r | grep -c sleep";
  EXPECT_THAT(thrown_away(all).output, testing::EndsWith("0\n"));
  const Victim second;
  confined("./attack kill " + second.pid() + "; kill -9 " + second.pid() + "; kill -9 -1");
  EXPECT_TRUE(second.alive());
}

TEST_F(HostileProcesses, LooksIntoProcessesOutside) {
  const Victim victim;
  std::vector<int> errors = {EPERM};
  if (holds("pid namespace")) errors.push_back(ESRCH);  // it is not even there
  for (const char* act : {"ptrace ", "process_vm ", "pidfd_getfd "}) {
    expect_refused(act + victim.pid(), errors);
  }
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

TEST_F(HostileProcesses, ReadsFilesAndMemoryOfProcessesOutside) {
  const Victim victim;
  const std::string of = "/proc/" + victim.pid();
  expect_unseen("->", "ls -l " + of + "/fd");
  expect_unseen("lib", "cat " + of + "/maps");
  expect_unseen("mem is open", "exec 3<" + of + "/mem && echo mem is open");
}

TEST_F(HostileProcesses, PrintsItsEnvironment) {
  for (const char* name : {"SOME_API_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "GIT_SSH"}) {
    ASSERT_EQ(::setenv(name, "hush", 1), 0);
  }
  FILE* plain = ::popen("env", "r");
  std::string printed(1 << 16, 0);
  printed.resize(std::fread(printed.data(), 1, printed.size(), plain));
  ::pclose(plain);
  const std::string output = confined("env; cat /proc/self/environ; export -p").output;
  for (const char* name : {"SOME_API_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "GIT_SSH"}) {
    EXPECT_THAT(printed, HasSubstr(std::string(name) + "=hush"));
    EXPECT_THAT(output, Not(HasSubstr(name)));
    ::unsetenv(name);
  }
  EXPECT_THAT(output, Not(HasSubstr("hush")));
}

TEST_F(HostileProcesses, SeesOnlyItsOwnProcesses) {
  if (!holds("pid namespace")) GTEST_SKIP() << "needs a pid namespace";
  const Victim victim;
  expect_unseen("victim", "test -d /proc/" + victim.pid() + " && echo victim");
  // The shell counts itself and its keeper; the parts of a pipeline would start in any order.
  EXPECT_EQ(confined("set -- /proc/[0-9]*; echo $#").output, "2\n");
}

TEST_F(HostileProcesses, FindsNoSharedMemoryOfTheMachine) {
  if (!holds("ipc namespace")) GTEST_SKIP() << "needs an ipc namespace";
  const key_t key = 0x40000000 | ::getpid();
  const int segment = ::shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
  ASSERT_GE(segment, 0);
  expect_unseen(std::to_string(key), "cat /proc/sysvipc/shm");
  ::shmctl(segment, IPC_RMID, nullptr);
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
  for (const char* act : {"io_uring", "bpf", "userfaultfd", "keyctl"}) {
    expect_refused(act, {EPERM, ENOSYS});
  }
}

TEST_F(HostileProcesses, EntersTheKernelByAnotherDoor) {
  for (const char* act : {"i386", "x32"}) {
    expect_refused(act);
    EXPECT_EQ(confined(std::string("exec ./attack ") + act).signal, SIGSYS) << act;
  }
}

TEST_F(HostileProcesses, LiftsItsLimits) {
  expect_refused("rlimit");
  EXPECT_EQ(thrown_away("ulimit -Sn 1000; ulimit -Sn 2000; ulimit -n").output, "2000\n");
  EXPECT_THAT(confined("ulimit -Sn 2000; ulimit -n").output, Not(HasSubstr("\n2000\n")));
  EXPECT_EQ(confined("ulimit -c").output, "0\n");
  const std::string score =
      "echo 1000 > /proc/self/oom_score_adj; echo 500 > /proc/$$/oom_score_adj; "
      "cat /proc/$$/oom_score_adj";
  EXPECT_EQ(thrown_away(score).output, "500\n");
  EXPECT_THAT(confined(score).output, testing::EndsWith("\n1000\n"));
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
  for (int i = 0; i < 50; ++i) open.push_back(::dup(0));   // not close-on-exec
  FILE* plain = ::popen("ls /proc/self/fd | wc -l", "r");  // as a program starts another otherwise
  int n_inherited = 0;
  EXPECT_EQ(std::fscanf(plain, "%d", &n_inherited), 1);
  ::pclose(plain);
  EXPECT_GE(n_inherited, 50);
  EXPECT_EQ(confined("ls /proc/self/fd | sort -n | tr '\\n' ' '").output, "0 1 2 3 ");
  for (const int fd : open) ::close(fd);
}

TEST_F(HostileProcesses, TypesIntoATerminal) {
  expect_refused("tiocsti", {EPERM});
  expect_refused("tioclinux", {EPERM});
}

}  // namespace
}  // namespace corvid::sandbox
