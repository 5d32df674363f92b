// Where no sandbox holds, each command is asked about, and without an answer none is run. What is
// written elsewhere is asked about, too.
#include "tools/approval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "sandbox/files.h"
#include "sandbox/setup.h"
#include "tests/tools/workshop.h"

namespace corvid::tools {
namespace {

namespace fs = std::filesystem;
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
  std::string write(const std::string& path) {
    const nlohmann::json arguments = {{"path", path}, {"content", "x"}};
    return finish(io_, toolbox_.run({{"1", "write", arguments.dump()}}, context_, {}))[0].text;
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

// What is always allowed, or never, is that file and nothing beside it.
TEST_F(ApprovalTest, AWriteElsewhereIsAskedAboutByTheFileThatItReaches) {
  const ScratchFolder folder;
  const fs::path home = fs::canonical(folder.path());
  for (const char* name : {"ws", "other", "real"}) fs::create_directory(home / name);
  fs::create_symlink("real", home / "link");
  fs::create_symlink("other/target", home / "dangling");
  sandbox_.policy_.workspace = home / "ws";
  ask(false);
  const auto key_of = [&](const std::string& path) {
    asked_.clear();
    write(path);
    if (asked_.size() != 1) return std::to_string(asked_.size()) + " questions";
    const std::size_t start = asked_[0].find('|') + 1;
    return asked_[0].substr(start, asked_[0].find('|', start) - start);
  };
  EXPECT_EQ(key_of("../notes.txt"), "write " + (home / "notes.txt").string());
  EXPECT_EQ(key_of("../new/deep/x"), "write " + (home / "new/deep/x").string());
  EXPECT_EQ(key_of("../link/x"), "write " + (home / "real/x").string());
  EXPECT_THAT(asked_[0], HasSubstr("write " + (home / "link/x").string() + " (that is " +
                                   (home / "real/x").string() + "), which is outside"));
  EXPECT_EQ(key_of("../dangling"), "write " + (home / "other/target").string());
  EXPECT_EQ(key_of("inside"), "0 questions");
  ask(true);
  EXPECT_THAT(write("../link/x"), HasSubstr("Created"));
  EXPECT_TRUE(fs::exists(home / "real/x"));
}

TEST_F(ApprovalTest, WhatConfinesFilesIsASandbox) {
  ask(false);
  sandbox_.hold(sandbox::kLandlockRung);
  EXPECT_THAT(shell(R"({"command": "rm x"})"), HasSubstr("started rm x"));
  EXPECT_TRUE(asked_.empty());
}

}  // namespace
}  // namespace corvid::tools
