// What the hostile tests share: a home with secrets, a workspace, something outside to harm, and
// the same act once with the sandbox off (the harm is real) and once with it on (it is not).
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <string>

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
  ProcessResult confined(const std::string& command) {
    return run(Policy::Mode::on, shell(command));
  }

  // An act of attack.cpp: works outside, is refused inside. Without the harm there is nothing to
  // see: some machines refuse it to everyone.
  void expect_refused(const std::string& act) {
    const ProcessResult harm = free("./attack " + act);
    if (harm.exit_code != 0) {
      std::printf("no harm to show on this machine: %s", harm.output.c_str());
    }
    EXPECT_NE(confined("./attack " + act).exit_code, 0) << act;
  }

  bool holds(const std::string& rung) const {
    const std::unique_ptr<Sandbox> sandbox = make_sandbox(policy_);
    for (const Rung& one : sandbox->rungs()) {
      if (one.name == rung) return one.holds;
    }
    return false;
  }

  ScratchFolder folder_;
  Policy policy_;
  std::chrono::milliseconds deadline_{20'000};
};

}  // namespace corvid::sandbox
