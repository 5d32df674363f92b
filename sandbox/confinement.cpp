#include "sandbox/confinement.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "sandbox/broken_rung.h"
#include "sandbox/error.h"
#include "sandbox/landlock.h"
#include "sandbox/namespaces.h"
#include "sandbox/privileges.h"
#include "sandbox/system_calls.h"
#include "sandbox/tree.h"
#include "sandbox/view.h"
#include "sandbox/wire.h"

namespace corvid::sandbox {

Confinement::Confinement(Setup setup) : setup_(std::move(setup)) {
  if (policy().mode == Policy::Mode::off) return;
  attempt(kUserRung, &Confinement::enter_user);
  attempt(kIpcRung, &Confinement::enter_ipc);
  attempt(kUtsRung, &Confinement::enter_uts);
  attempt(kCgroupRung, &Confinement::enter_cgroup);
  attempt(kPidRung, &Confinement::enter_pid);
  attempt(kMountRung, &Confinement::enter_mount);
  if (!policy().network) attempt(kNetworkRung, &Confinement::enter_network);
  if (!holds(kMountRung)) make_tmp();
  attempt(kLandlockRung, &Confinement::make_landlock);
  attempt(kSeccompRung, &Confinement::make_filter);
  attempt(kPrivilegesRung, nullptr);
  attempt(kLimitsRung, nullptr);
  try_out();
}

Confinement::~Confinement() {
  std::error_code ignored;
  if (remove_tmp_) std::filesystem::remove_all(tmp_, ignored);
}

void Confinement::attempt(std::string_view rung, void (Confinement::*enter)()) {
  Rung tried{std::string(rung), true, {}};
  for (const std::string& skipped : setup_.skip) {
    if (!skipped.starts_with(tried.name)) continue;
    tried.holds = false;
    tried.why = skipped.substr(std::min(skipped.size(), tried.name.size() + 2));
  }
  try {
    if (tried.holds && enter) (this->*enter)();
  } catch (const BrokenRung&) {
    throw;
  } catch (const UnmetPolicy&) {
    throw;
  } catch (const SandboxError& error) {
    tried.holds = false;
    tried.why = error.what();
  }
  rungs_.push_back(std::move(tried));
}

bool Confinement::holds(std::string_view rung) const {
  return std::any_of(rungs_.begin(), rungs_.end(),
                     [&](const Rung& one) { return one.name == rung && one.holds; });
}

void Confinement::enter_user() {
  enter_user_namespace();
}

void Confinement::enter_ipc() {
  enter_namespace(CLONE_NEWIPC);
}

void Confinement::enter_uts() {
  enter_namespace(CLONE_NEWUTS);
}

void Confinement::enter_cgroup() {
  enter_namespace(CLONE_NEWCGROUP);
}

void Confinement::enter_network() {
  enter_namespace(CLONE_NEWNET);
  raise_loopback();
  if (policy().proxy) proxy_ = listen_on_loopback(kProxyPort);
}

// Each command gets its own, so here it is only tried.
void Confinement::enter_pid() {
  const pid_t child = fork_into(CLONE_NEWPID);
  if (child == 0) ::_exit(0);
  if (child < 0) throw SandboxError("the kernel or a container forbids it");
  ::waitpid(child, nullptr, 0);
}

void Confinement::enter_mount() {
  enter_namespace(CLONE_NEWNS);
  try {
    listeners_ = open_listeners();  // before the network becomes another
    build_view(setup_, listeners_);
  } catch (const UnmetPolicy&) {
    throw;
  } catch (const SandboxError& error) {
    throw BrokenRung(kMountRung, error.what());
  }
  home_ = kPrivateHome;
  tmp_ = "/tmp";
}

// Without a view of its own a command gets a folder of its own in the machine's /tmp.
void Confinement::make_tmp() {
  std::string name = "/tmp/corvid-XXXXXX";
  if (!::mkdtemp(name.data())) throw SandboxError("cannot make a folder in /tmp");
  tmp_ = name;
  home_ = tmp_ + "/home";
  remove_tmp_ = true;
  std::filesystem::create_directory(home_);
  std::ofstream(home_ + "/.gitconfig") << setup_.git_config;
}

void Confinement::make_landlock() {
  LandlockScope scope;
  scope.private_view = holds(kMountRung);
  scope.private_network = holds(kNetworkRung);
  scope.tmp = tmp_;
  landlock_ = landlock_rules(policy(), scope);
}

void Confinement::make_filter() {
  FilterScope scope;
  scope.inet = policy().network || holds(kNetworkRung);
  // Those of the machine are out of sight in a view of our own; abstract ones have no place in it.
  const bool no_abstract = holds(kNetworkRung) || (holds(kLandlockRung) && landlock_abi() >= 6);
  scope.unix_sockets = holds(kMountRung) && no_abstract;
  scope.own_processes = holds(kPidRung) && holds(kMountRung);
  filter_ = compile_filter(scope);
}

pid_t Confinement::fork_keeper() const {
  int flags = 0;
  if (holds(kPidRung)) flags |= CLONE_NEWPID;
  if (holds(kMountRung)) flags |= CLONE_NEWNS;
  return flags ? fork_into(flags) : ::fork();
}

void Confinement::enter_keeper(const std::vector<Protection>& protections) const {
  if (!holds(kMountRung)) return;
  try {
    finish_view(policy(), protections, holds(kPidRung), listeners_);
  } catch (const UnmetPolicy&) {
    throw;
  } catch (const SandboxError& error) {
    throw BrokenRung(holds(kPidRung) ? kPidRung : kMountRung, error.what());
  }
}

void Confinement::enter_command() const {
  const auto enter = [this](std::string_view rung, auto step) {
    try {
      if (holds(rung)) step();
    } catch (const SandboxError& error) {
      throw BrokenRung(rung, error.what());
    }
  };
  enter(kLimitsRung, [this] {
    const int others = holds(kUserRung) ? 0 : count_processes();
    // Twice what is allowed: at once the watch sees that it is too many, and says so.
    enter_limits(policy().limits, 2 * policy().limits.processes + others);
  });
  enter(kPrivilegesRung, [] { drop_privileges(); });
  enter(kLandlockRung, [this] { enter_landlock(landlock_); });
  enter(kSeccompRung, [this] { enter_filter(filter_); });
}

// Goes the whole way of a command once, and does without the rungs that break on it.
void Confinement::try_out() {
  for (std::size_t tries = 0; tries <= rungs_.size(); ++tries) {
    DescriptorPair answer = make_socket_pair();
    const pid_t child = fork_keeper();
    if (child == 0) {
      try {
        enter_keeper(protections(policy()));
        enter_command();
      } catch (const BrokenRung& broken) {
        wire::Fields fields;
        fields.put(broken.rung()).put(std::string_view(broken.what()));
        wire::send(answer.second.get(), wire::Kind::broken, fields);
      } catch (const UnmetPolicy& unmet) {
        const wire::Fields why = wire::Fields().put(std::string_view(unmet.what()));
        wire::send(answer.second.get(), wire::Kind::failed, why);
      }
      ::_exit(0);
    }
    answer.second.reset();
    std::optional<wire::Packet> broken = wire::receive(answer.first.get());
    ::waitpid(child, nullptr, 0);
    if (!broken) return;
    if (broken->kind == wire::Kind::failed) throw UnmetPolicy(broken->fields.take_text());
    const std::string rung = broken->fields.take_text();
    give_up(rung, broken->fields.take_text());
  }
}

void Confinement::give_up(const std::string& rung, const std::string& why) {
  for (Rung& one : rungs_) {
    if (one.name != rung) continue;
    one.holds = false;
    one.why = why;
  }
}

}  // namespace corvid::sandbox
