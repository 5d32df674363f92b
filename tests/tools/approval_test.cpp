// Where no sandbox holds, each command is asked about, and without an answer none is run.
#include "tools/approval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "sandbox/files.h"
#include "sandbox/setup.h"
#include "tests/tools/workshop.h"

namespace corvid::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Of which some rungs hold. Whoever starts a process here has not asked.
class WeakSandbox : public sandbox::Sandbox {
 public:
  const sandbox::Policy& policy() const override { return policy_; }
  const std::vector<sandbox::Rung>& rungs() const override { return rungs_; }
  asio::awaitable<sandbox::Process> start(sandbox::ProcessSpec spec) override {
    throw std::runtime_error("started " + spec.argv.back());
  }
  void hold(std::string_view name) {
    for (sandbox::Rung& rung : rungs_) rung.holds |= rung.name == name;
  }
  sandbox::Policy policy_;

 private:
  std::vector<sandbox::Rung> rungs_{{std::string(sandbox::kMountRung), false, "no"},
                                    {std::string(sandbox::kLandlockRung), false, "no"},
                                    {std::string(sandbox::kSeccompRung), true, ""}};
};

asio::awaitable<Verdict> note(Request request, std::vector<std::string>& asked, bool agrees) {
  asked.push_back(request.what + "|" + request.key + "|" + request.flag);
  co_return Verdict{agrees, "The user was asked and said no."};
}

class ApprovalTest : public testing::Test {
 protected:
  ApprovalTest() {
    for (auto& tool : builtin_tools()) toolbox_.add(std::move(tool));
  }
  std::string shell(const std::string& arguments) {
    return finish(io_, toolbox_.run({{"1", "shell", arguments}}, context_, {}))[0].text;
  }
  void ask(bool agrees) {
    context_.approve = [this, agrees](Request request) {
      return note(std::move(request), asked_, agrees);
    };
  }

  asio::io_context io_;
  asio::thread_pool pool_{1};
  WeakSandbox sandbox_;
  sandbox::Files files_{sandbox_.policy_};
  ToolContext context_{sandbox_, files_, pool_, ""};
  Toolbox toolbox_;
  std::vector<std::string> asked_;
};

TEST_F(ApprovalTest, WithoutASandboxEachCommandIsAskedAbout) {
  ask(false);
  EXPECT_THAT(shell(R"({"command": "rm x"})"), HasSubstr("The user was asked and said no."));
  EXPECT_THAT(shell(R"({"command": "rm y", "background": true})"), HasSubstr("said no."));
  const std::string why = "run this without a sandbox, as none holds on this machine:\n";
  EXPECT_THAT(asked_, ElementsAre(why + "rm x|run rm x|--sandbox off",
                                  why + "rm y|run rm y|--sandbox off"));
  ask(true);
  EXPECT_THAT(shell(R"({"command": "rm x"})"), HasSubstr("started rm x"));
  EXPECT_EQ(asked_.size(), 3u);
}

TEST_F(ApprovalTest, WithoutASandboxAndWithoutAnybodyToAskNothingIsRun) {
  EXPECT_EQ(shell(R"({"command": "rm x"})"), "Error: No sandbox holds on this machine.");
}

TEST_F(ApprovalTest, WhatConfinesFilesIsASandbox) {
  ask(false);
  sandbox_.hold(sandbox::kLandlockRung);
  EXPECT_THAT(shell(R"({"command": "rm x"})"), HasSubstr("started rm x"));
  EXPECT_TRUE(asked_.empty());
}

}  // namespace
}  // namespace corvid::tools
