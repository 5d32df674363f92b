#include "sandbox/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

#include "sandbox/error.h"
#include "sandbox/tree.h"
#include "sandbox/watch.h"
#include "sandbox/wire.h"

namespace corvid::sandbox {
namespace {

constexpr int kWatchMilliseconds = 40;

// What stopped the command from running goes through a pipe that a successful exec closes.
[[noreturn]] void fail(int pipe, const std::string& why) {
  [[maybe_unused]] ssize_t n = ::write(pipe, why.data(), why.size());
  ::_exit(127);
}

[[noreturn]] void fail_with_error(int pipe, const std::string& what) {
  const int error = errno;
  fail(pipe, what + ": " + std::strerror(error));
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> found;
  for (std::string& text : texts) found.push_back(text.data());
  found.push_back(nullptr);
  return found;
}

[[noreturn]] void become_command(Order& order, const Confinement& confinement, int failure) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::prctl(PR_SET_DUMPABLE, 1);  // its own /proc is its own
  if (::setsid() < 0) fail_with_error(failure, "sandbox: cannot start a session");
  if (::dup2(order.input.get(), 0) < 0 || ::dup2(order.output.get(), 1) < 0 ||
      ::dup2(order.errors ? order.errors.get() : order.output.get(), 2) < 0 ||
      (order.terminal && ::ioctl(0, TIOCSCTTY, 0) != 0)) {
    fail_with_error(failure, "sandbox: cannot pass input and output");
  }
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    fail_with_error(failure, "sandbox: cannot close descriptors");
  }
  if (::chdir(order.cwd.c_str()) != 0) {
    fail_with_error(failure, "command: cannot enter the folder " + order.cwd);
  }
  try {
    confinement.enter_command();
  } catch (const SandboxError& error) {
    fail(failure, std::string("sandbox: ") + error.what());
  }
  if (order.argv.empty()) ::_exit(0);  // a trial

  std::vector<char*> environment = pointers(order.environment);
  std::vector<char*> argv = pointers(order.argv);
  environ = environment.data();  // execvp looks the command up in this PATH
  ::execvp(argv[0], argv.data());
  fail_with_error(failure, "command: cannot start `" + order.argv[0] + "`");
}

// A terminal that a reader who is no screen understands: lines end as they are written.
struct Terminal {
  Descriptor ours, its;
};

Terminal make_terminal() {
  Terminal terminal;
  terminal.ours.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (!terminal.ours || ::grantpt(terminal.ours.get()) != 0 ||
      ::unlockpt(terminal.ours.get()) != 0) {
    return terminal;
  }
  std::array<char, 64> name;
  if (::ptsname_r(terminal.ours.get(), name.data(), name.size()) != 0) return terminal;
  terminal.its.reset(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios modes;
  if (terminal.its && ::tcgetattr(terminal.its.get(), &modes) == 0) {
    modes.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
    ::tcsetattr(terminal.its.get(), TCSANOW, &modes);
  }
  const winsize size{40, 120, 0, 0};
  if (terminal.its) ::ioctl(terminal.its.get(), TIOCSWINSZ, &size);
  return terminal;
}

class Keeper {
 public:
  Keeper(Order order, const Confinement& confinement)
      : order_(std::move(order)), confinement_(confinement), watch_(confinement.policy()) {}

  // False: the command did not run, and the program has been told why.
  bool start();
  // Until the command has ended, by itself or by force.
  void watch();
  void kill_all();
  void report();

 private:
  bool refuse(const std::string& why);
  bool give_terminal();
  void signal_all(int signal);
  void reap();
  void obey();
  void check_limits();

  Order order_;
  const Confinement& confinement_;
  Watch watch_;
  std::string notice_;
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
  ::prctl(PR_SET_PDEATHSIG, ::getpid() == 1 ? SIGKILL : SIGTERM);

  try {
    confinement_.enter_keeper(order_.protections);
  } catch (const SandboxError& error) {
    return refuse(std::string("sandbox: ") + error.what());
  }
  if (order_.terminal && !give_terminal()) return refuse("sandbox: cannot make a terminal");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return refuse("sandbox: out of descriptors");
  Descriptor failed(ends[0]);
  Descriptor failing(ends[1]);
  command_ = ::fork();
  if (command_ == 0) become_command(order_, confinement_, failing.get());
  if (command_ < 0) return refuse(std::string("sandbox: cannot fork: ") + std::strerror(errno));
  ::prctl(PR_SET_DUMPABLE, 0);  // what it keeps may not look into it
  failing.reset();
  order_.output.reset();
  order_.errors.reset();
  order_.input.reset();

  std::array<char, 1024> why;
  ssize_t n;
  do n = ::read(failed.get(), why.data(), why.size());
  while (n < 0 && errno == EINTR);
  return n <= 0 || refuse(std::string(why.data(), static_cast<std::size_t>(n)));
}

bool Keeper::refuse(const std::string& why) {
  wire::send(order_.status.get(), wire::Kind::failed, wire::Fields().put(why));
  return false;
}

bool Keeper::give_terminal() {
  Terminal terminal = make_terminal();
  if (!terminal.its) return false;
  wire::send(order_.status.get(), wire::Kind::terminal, {}, {terminal.ours.get()});
  order_.input.reset(::fcntl(terminal.its.get(), F_DUPFD_CLOEXEC, 3));
  order_.output = std::move(terminal.its);
  return true;
}

// As PID 1 of a namespace it reaches everything in it at once.
void Keeper::signal_all(int signal) {
  if (::getpid() == 1) {
    ::kill(-1, signal);
  } else {
    signal_descendants(::getpid(), signal);
  }
}

void Keeper::kill_all() {
  if (::getpid() != 1) return kill_descendants(::getpid());
  ::kill(-1, SIGKILL);
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) continue;
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
    signal_all(SIGTERM);
    signal_all(SIGCONT);
  } else {
    kill_all();  // told so, or the program is gone
    over_ = true;
  }
}

void Keeper::check_limits() {
  notice_ = watch_.breach();
  over_ = !notice_.empty();
}

void Keeper::report() {
  wire::Fields fields;
  fields.put(ended_).put(notice_);
  wire::send(order_.status.get(), wire::Kind::exited, fields);
}

// By the clock: what keeps it busy, with processes that end all the time, does not keep it from
// looking.
void Keeper::watch() {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kPause{kWatchMilliseconds};
  Clock::time_point next_look = Clock::now() + kPause;
  while (!over_) {
    std::array<pollfd, 2> events{pollfd{signals_.get(), POLLIN, 0},
                                 pollfd{order_.status.get(), POLLIN, 0}};
    ::poll(events.data(), events.size(), kWatchMilliseconds);
    if (Clock::now() >= next_look) {
      check_limits();
      next_look = Clock::now() + kPause;
    }
    signalfd_siginfo signal;
    while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
      if (signal.ssi_signo == SIGTERM) over_ = true;  // the stub is gone or wants an end
    }
    reap();
    if (!over_ && events[1].revents) obey();
  }
}

}  // namespace

void keep(Order order, const Confinement& confinement) {
  Keeper keeper(std::move(order), confinement);
  if (keeper.start()) {
    keeper.watch();
    keeper.kill_all();
    keeper.report();
  }
  ::_exit(0);
}

}  // namespace corvid::sandbox
