// The stub: this program started once more, single-threaded, without a secret in its memory or
// environment. It lives as long as its sandbox and forks a keeper for every command.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sandbox/broken_rung.h"
#include "sandbox/confinement.h"
#include "sandbox/error.h"
#include "sandbox/guard.h"
#include "sandbox/keeper.h"
#include "sandbox/sandbox.h"
#include "sandbox/tree.h"
#include "sandbox/wire.h"

namespace corvid::sandbox {
namespace {

constexpr int kControl = 3;  // the socket to the program
constexpr std::size_t kMaxNotices = 16;

using Clock = std::chrono::steady_clock;

// Pauses between looks at what a command does, and between searches of all folders: so long that
// each costs one percent of a core, within these bounds.
constexpr std::chrono::milliseconds kShortestPause{20}, kLongestPause{1000};
constexpr std::chrono::milliseconds kShortestSearchPause{100}, kLongestSearchPause{10'000};
constexpr int kPause = 100;  // times what the last one took

// When memory runs out, what runs here goes first, not the program with the model in it.
void raise_oom_score() {
  Descriptor file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  [[maybe_unused]] ssize_t n = file ? ::write(file.get(), "1000", 4) : 0;
}

class Stub {
 public:
  Stub();
  void serve();

 private:
  bool set_up(wire::Packet packet);
  void start(wire::Packet packet);
  void reap();
  void kill_abandoned(const std::vector<pollfd>& events);
  void kill_all();
  std::vector<pid_t> keepers() const;

  Descriptor control_{kControl};
  Descriptor signals_;
  std::optional<Confinement> confinement_;
  struct Command {
    Descriptor status;
    Guard guard;
    std::vector<std::string> notices;
    Clock::time_point next_look{Clock::now() + kShortestPause};
    Clock::time_point next_search{Clock::now() + kShortestSearchPause};

    void look_after(Clock::time_point now);
    void put_back(bool search, bool over = false);
  };
  bool guards() const { return confinement_->policy().mode == Policy::Mode::on; }
  int patience(Clock::time_point now) const;

  std::map<pid_t, Command> running_;  // by keeper
  std::set<std::string> made_;        // repositories that commands made
};

// Puts back what it did to protected paths: when it has ended, and while it goes on, which may be
// for hours. `search`: in all folders.
void Stub::Command::put_back(bool search, bool over) {
  const Clock::time_point start = Clock::now();
  for (std::string& notice : search ? guard.restore(over) : guard.look()) {
    if (notices.size() < kMaxNotices) notices.push_back(std::move(notice));
  }
  const Clock::time_point now = Clock::now();
  const auto after = [&](Clock::duration least, Clock::duration most) {
    return now + std::clamp<Clock::duration>(kPause * (now - start), least, most);
  };
  if (search) {
    next_search = after(kShortestSearchPause, kLongestSearchPause);
  } else {
    next_look = after(kShortestPause, kLongestPause);
  }
}

void Stub::Command::look_after(Clock::time_point now) {
  if (now >= next_look) put_back(false);
  if (now >= next_search) put_back(true);
}

// In milliseconds, for poll.
int Stub::patience(Clock::time_point now) const {
  if (running_.empty() || !guards()) return -1;
  Clock::time_point first = Clock::time_point::max();
  for (const auto& [keeper, command] : running_) {
    first = std::min({first, command.next_look, command.next_search});
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(first - now);
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

Stub::Stub() {
  ::close_range(kControl + 1, ~0U, 0);
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &watched, nullptr);
  signals_.reset(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  raise_oom_score();
}

std::vector<pid_t> Stub::keepers() const {
  std::vector<pid_t> found;
  for (const auto& [pid, command] : running_) found.push_back(pid);
  return found;
}

// False: this process is of no use.
bool Stub::set_up(wire::Packet packet) {
  try {
    confinement_.emplace(decode_setup(packet.fields));
  } catch (const BrokenRung& broken) {
    wire::Fields fields;
    fields.put(broken.rung()).put(std::string_view(broken.what()));
    wire::send(control_.get(), wire::Kind::broken, fields);
    return false;
  } catch (const UnmetPolicy& unmet) {
    const wire::Fields why = wire::Fields().put(std::string_view(unmet.what()));
    wire::send(control_.get(), wire::Kind::failed, why);
    return false;
  }
  std::vector<std::string> names, whys;
  for (const Rung& rung : confinement_->rungs()) {
    names.push_back(rung.name);
    whys.push_back(rung.holds ? "" : rung.why);
  }
  wire::Fields fields;
  fields.put(names).put(whys).put(confinement_->home()).put(confinement_->tmp());
  std::vector<int> passed;
  const Descriptor proxy = confinement_->take_proxy();
  if (proxy) passed.push_back(proxy.get());
  return wire::send(control_.get(), wire::Kind::ready, fields, passed);
}

void Stub::start(wire::Packet packet) {
  if (packet.descriptors.size() < 3) throw SandboxError("a run packet lacks descriptors");
  Order order;
  order.argv = packet.fields.take_texts();
  order.environment = packet.fields.take_texts();
  order.cwd = packet.fields.take_text();
  order.terminal = packet.fields.take_number() != 0;
  order.status = std::move(packet.descriptors[0]);
  order.output = std::move(packet.descriptors[1]);
  order.input = std::move(packet.descriptors[2]);
  if (packet.descriptors.size() > 3) order.errors = std::move(packet.descriptors[3]);

  Guard guard(confinement_->policy(), confinement_->holds(kMountRung), made_);
  if (confinement_->policy().mode == Policy::Mode::on) guard.remember();
  order.protections = guard.protections();
  const pid_t keeper = confinement_->fork_keeper();
  if (keeper == 0) {
    control_.reset();
    signals_.reset();
    running_.clear();
    keep(std::move(order), *confinement_);
  }
  if (keeper < 0) {
    const std::string why = std::string("sandbox: cannot fork: ") + std::strerror(errno);
    wire::send(order.status.get(), wire::Kind::failed, wire::Fields().put(why));
    return;  // the program sees the socket close
  }
  running_.emplace(keeper, Command{std::move(order.status), std::move(guard), {}});
}

void Stub::reap() {
  int status;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto found = running_.find(pid);
    if (found == running_.end()) continue;                             // an orphan
    if (WIFSIGNALED(status)) kill_descendants(::getpid(), keepers());  // what it kept is ours now
    if (guards()) found->second.put_back(true, true);
    const wire::Fields notices = wire::Fields().put(found->second.notices);
    wire::send(found->second.status.get(), wire::Kind::finished, notices);
    running_.erase(found);
  }
}

// A keeper whose socket the program has closed is not asked any more.
void Stub::kill_abandoned(const std::vector<pollfd>& events) {
  for (const auto& [keeper, command] : running_) {
    for (const pollfd& event : events) {
      if (event.fd == command.status.get() && (event.revents & POLLHUP)) ::kill(keeper, SIGKILL);
    }
  }
}

void Stub::kill_all() {
  for (const pid_t keeper : keepers()) ::kill(keeper, SIGTERM);  // ends its tree, then itself
  for (int i = 0; i < 1000 && !running_.empty(); ++i) {
    reap();
    ::usleep(1000);
  }
  kill_descendants(::getpid());
}

void Stub::serve() {
  while (true) {
    std::vector<pollfd> events{{control_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
    for (const auto& [keeper, command] : running_) {
      events.push_back({command.status.get(), 0, 0});
    }
    ::poll(events.data(), events.size(), patience(Clock::now()));
    if (confinement_ && guards()) {
      for (auto& [keeper, command] : running_) command.look_after(Clock::now());
    }
    kill_abandoned(events);
    signalfd_siginfo signal;
    while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) continue;
    reap();
    if (!events[0].revents) continue;
    std::optional<wire::Packet> packet = wire::receive(control_.get());
    if (!packet) return kill_all();  // the program is gone
    if (packet->kind == wire::Kind::setup && !set_up(std::move(*packet))) return;
    if (packet->kind == wire::Kind::run) start(std::move(*packet));
  }
}

}  // namespace

int run_stub(int, char**) {
  try {
    Stub().serve();
    return 0;
  } catch (const std::exception&) {
    return 1;  // the program sees the socket close
  }
}

}  // namespace corvid::sandbox
