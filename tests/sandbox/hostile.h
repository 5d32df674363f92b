// What the hostile tests share: a home with secrets, a workspace, something outside to harm, and
// the same act once with the sandbox off (the harm is real) and once with it on (it is not).
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "tests/sandbox/play.h"

namespace corvid::sandbox {

class Hostile : public testing::Test {
 protected:
  Hostile() {
    std::filesystem::create_directory(workspace());
    put(outside("file"), "good\n");
    const char* attack = std::getenv("CORVID_ATTACK");
    std::filesystem::copy_file(attack ? attack : CORVID_ATTACK, workspace() / "attack");
    policy_ = default_policy(workspace());
  }

  std::filesystem::path workspace() const { return folder_.path() / "ws"; }
  std::filesystem::path outside(const std::string& name) const { return folder_.path() / name; }

  ProcessResult run(Policy::Mode mode, ProcessSpec spec) {
    Policy policy = policy_;
    policy.mode = mode;
    const std::unique_ptr<Sandbox> sandbox = make_sandbox(policy);
    spec.extra_environment["OUT"] = folder_.path().string();
    spec.deadline = deadline_;
    return sandbox::run(*sandbox, std::move(spec));
  }
  // The command has $OUT, the folder around the workspace. As root it runs in a mount namespace
  // that is thrown away, or it would take the machine's own mounts apart.
  ProcessResult free(const std::string& command) {
    ProcessSpec spec = shell(command);
    if (::geteuid() == 0) {
      spec.argv.insert(spec.argv.begin(), {"unshare", "--mount", "--propagation", "private", "--"});
    }
    return run(Policy::Mode::off, std::move(spec));
  }
  // The command with all rights over processes, mounts and a network that are thrown away with it,
  // for harm that nobody would do to the machine itself, and to see what is left behind.
  ProcessResult thrown_away(const std::string& command) {
    ProcessSpec spec = shell(command);
    spec.argv.insert(spec.argv.begin(), {"unshare", "--user", "--map-root-user", "--net", "--pid",
                                         "--fork", "--kill-child", "--mount-proc", "--"});
    return run(Policy::Mode::off, std::move(spec));
  }
  ProcessResult confined(const std::string& command) {
    return run(Policy::Mode::on, shell(command));
  }

  // An act of attack.cpp: works outside, is refused inside. Without the harm there is nothing to
  // see: some machines refuse it to everyone. `errors`: with one of these, where any are named.
  void expect_refused(const std::string& act, const std::vector<int>& errors = {}) {
    const ProcessResult harm = free("./attack " + act);
    if (harm.exit_code != 0 && thrown_away("./attack " + act).exit_code != 0) {
      std::printf("no harm to show on this machine: %s: %s", act.c_str(), harm.output.c_str());
    }
    const ProcessResult refused = confined("./attack " + act);
    EXPECT_NE(refused.exit_code, 0) << act;
    const auto is_why = [&](int error) {
      return refused.output.ends_with(std::string(": ") + std::strerror(error) + "\n");
    };
    EXPECT_TRUE(errors.empty() || std::any_of(errors.begin(), errors.end(), is_why))
        << act << " was refused otherwise: " << refused.output;
  }

  // The command prints `harm` when nothing holds it back, and does not when it is confined.
  void expect_unseen(const std::string& harm, const std::string& command) {
    EXPECT_THAT(free(command).output, testing::HasSubstr(harm)) << "no harm shown: " << command;
    EXPECT_THAT(confined(command).output, testing::Not(testing::HasSubstr(harm))) << command;
  }

  bool holds(const std::string& rung) const {
    const std::unique_ptr<Sandbox> sandbox = make_sandbox(policy_);
    for (const Rung& one : sandbox->rungs()) {
      if (one.name == rung) return one.holds;
    }
    return false;
  }

  // Not in /tmp, of which the sandbox has one of its own: what is outside is to be in reach. And in
  // no repository, which would be opened to git.
  static std::filesystem::path place() {
    const char* home = std::getenv("HOME");
    if (::access("/var/lib", W_OK) == 0) return "/var/lib";
    return home ? home : std::filesystem::temp_directory_path();
  }

  ScratchFolder folder_{place()};
  Policy policy_;
  std::chrono::milliseconds deadline_{120'000};  // also on a machine with much else to do
};

}  // namespace corvid::sandbox
