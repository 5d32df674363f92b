#include "sandbox/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "sandbox/tree.h"
#include "sandbox/wire.h"

namespace corvid::sandbox {
namespace {

// What stopped the command from running, written to a pipe that a successful exec closes.
struct Failure {
  int error;
  char step[60];
};

[[noreturn]] void fail(int pipe, const char* step) {
  Failure failure{errno, {}};
  std::strncpy(failure.step, step, sizeof failure.step - 1);
  [[maybe_unused]] ssize_t n = ::write(pipe, &failure, sizeof failure);
  ::_exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> found;
  for (std::string& text : texts) found.push_back(text.data());
  found.push_back(nullptr);
  return found;
}

void raise_oom_score() {
  Descriptor file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  [[maybe_unused]] ssize_t n = file ? ::write(file.get(), "1000", 4) : 0;
}

[[noreturn]] void become_command(Order& order, int failure_pipe) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::setsid() < 0) fail(failure_pipe, "sandbox: setsid");
  if (::dup2(order.input.get(), 0) < 0 || ::dup2(order.output.get(), 1) < 0 ||
      ::dup2(order.output.get(), 2) < 0) {
    fail(failure_pipe, "sandbox: dup2");
  }
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail(failure_pipe, "sandbox: close_range");
  raise_oom_score();
  if (::chdir(order.cwd.c_str()) != 0) fail(failure_pipe, "command: enter the folder");

  std::vector<char*> environment = pointers(order.environment);
  std::vector<char*> argv = pointers(order.argv);
  environ = environment.data();  // execvp looks the command up in this PATH
  ::execvp(argv[0], argv.data());
  fail(failure_pipe, "command: start");
}

class Keeper {
 public:
  explicit Keeper(Order order) : order_(std::move(order)) {}

  // False: the command did not run, and the program has been told why.
  bool start();
  // Until the command has ended, by itself or by force.
  void watch();
  void kill_all() { kill_descendants(::getpid()); }
  void report() { wire::send(order_.status.get(), wire::Kind::exited, wire::Fields().put(ended_)); }

 private:
  void reap();
  void obey();

  Order order_;
  Descriptor signals_;
  pid_t command_ = -1;
  int ended_ = SIGKILL;  // wait status; this one when it had to be ended
  bool over_ = false;
};

bool Keeper::start() {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &watched, nullptr);
  signals_.reset(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  Descriptor failed(ends[0]);
  Descriptor failing(ends[1]);
  command_ = ::fork();
  if (command_ == 0) become_command(order_, failing.get());
  failing.reset();
  order_.output.reset();
  order_.input.reset();

  Failure failure{};
  ssize_t n;
  if (command_ < 0) {
    failure = {errno, "sandbox: fork"};
    n = sizeof failure;
  } else {
    do n = ::read(failed.get(), &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
  }
  if (n != sizeof failure) return true;
  wire::Fields fields;
  fields.put(failure.error).put(std::string_view(failure.step));
  wire::send(order_.status.get(), wire::Kind::failed, fields);
  return false;
}

void Keeper::reap() {
  int status;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid != command_) continue;
    ended_ = status;
    over_ = true;
  }
}

void Keeper::obey() {
  std::optional<wire::Packet> packet = wire::receive(order_.status.get(), false);
  if (!packet && errno == EAGAIN) return;
  if (packet && packet->kind == wire::Kind::terminate) {
    signal_descendants(::getpid(), SIGTERM);
    signal_descendants(::getpid(), SIGCONT);
  } else {
    kill_all();  // told so, or the program is gone
    over_ = true;
  }
}

void Keeper::watch() {
  while (!over_) {
    std::array<pollfd, 2> events{pollfd{signals_.get(), POLLIN, 0},
                                 pollfd{order_.status.get(), POLLIN, 0}};
    ::poll(events.data(), events.size(), -1);
    signalfd_siginfo signal;
    while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
      if (signal.ssi_signo == SIGTERM) over_ = true;  // the stub is gone or wants an end
    }
    reap();
    if (!over_ && events[1].revents) obey();
  }
}

}  // namespace

void keep(Order order) {
  Keeper keeper(std::move(order));
  if (keeper.start()) {
    keeper.watch();
    keeper.kill_all();
    keeper.report();
  }
  ::_exit(0);
}

}  // namespace corvid::sandbox
