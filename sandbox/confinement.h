// Everything that confines commands, from the strongest means down. The stub builds it once, trying
// each rung; every command then enters it, and does not start when one of them fails.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/descriptor.h"
#include "sandbox/protection.h"
#include "sandbox/sandbox.h"
#include "sandbox/setup.h"

namespace corvid::sandbox {

class Confinement {
 public:
  // With the policy's mode off: nothing. Throws BrokenRung when this process has become useless,
  // UnmetPolicy when no process is of use.
  explicit Confinement(Setup setup);
  ~Confinement();
  Confinement(const Confinement&) = delete;
  Confinement& operator=(const Confinement&) = delete;

  const std::vector<Rung>& rungs() const { return rungs_; }
  bool holds(std::string_view rung) const;
  const Policy& policy() const { return setup_.policy; }
  // HOME and TMPDIR of commands; empty: as outside.
  const std::string& home() const { return home_; }
  const std::string& tmp() const { return tmp_; }
  // Where commands look for the proxy, to be listened on by the program. Empty: there is none.
  Descriptor take_proxy() { return std::move(proxy_); }

  // What the keeper of a command calls: forks it, completes its view, confines the command itself.
  // BrokenRung or UnmetPolicy say what failed.
  pid_t fork_keeper() const;
  void enter_keeper(const std::vector<Protection>& protections) const;
  void enter_command() const;

 private:
  void attempt(std::string_view rung, void (Confinement::*enter)());
  void enter_user();
  void enter_mount();
  void enter_pid();
  void enter_network();
  void enter_ipc();
  void enter_uts();
  void enter_cgroup();
  void make_landlock();
  void make_filter();
  void make_tmp();
  void try_out();
  void give_up(const std::string& rung, const std::string& why);

  Setup setup_;
  std::vector<Rung> rungs_;
  Descriptor landlock_, proxy_, listeners_;
  std::vector<sock_filter> filter_;
  std::string home_, tmp_;
  bool remove_tmp_ = false;
};

}  // namespace corvid::sandbox
