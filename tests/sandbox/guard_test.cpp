// What is done to protected paths while a command runs: what git does on its way is let be.
#include "sandbox/guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sandbox/play.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;
using testing::SizeIs;

class GuardTest : public testing::Test {
 protected:
  fs::path at(const std::string& name) const { return folder_ / name; }
  void make_repository(const std::string& name) {
    put(at(name + "/HEAD"), "ref: refs/heads/main\n");
    put(at(name + "/config"), "[core]\n\tbare = false\n");
    fs::create_directories(at(name + "/objects"));
    fs::create_directories(at(name + "/refs"));
  }

  ScratchFolder folder_;
  Policy policy_ = default_policy(folder_.path());
  std::set<std::string> made_;
  Guard guard_{policy_, /*frozen_by_mounts=*/true, made_};
};

TEST_F(GuardTest, ARepositoryCanBeRemovedWhileItIsLookedAt) {
  make_repository("sub/.git");
  guard_.remember();
  fs::remove(at("sub/.git/config"));  // the first of many
  EXPECT_THAT(guard_.restore(/*over=*/false), IsEmpty());
  EXPECT_FALSE(fs::exists(at("sub/.git/config")));
  EXPECT_THAT(guard_.restore(/*over=*/true), SizeIs(1));
  EXPECT_TRUE(fs::exists(at("sub/.git/config")));
  put(at("sub/.git/config"), "[core]\n\tfsmonitor = evil\n");
  EXPECT_THAT(guard_.restore(/*over=*/false), SizeIs(1));
  EXPECT_EQ(contents(at("sub/.git/config")), "[core]\n\tbare = false\n");
}

// As `git worktree add` does it: the link first, and then what it leads to.
TEST_F(GuardTest, AWorktreeCanBeMadeWhileItIsLookedAt) {
  make_repository("sub/.git");
  guard_.remember();
  put(at("tree/.git"), "");
  EXPECT_THAT(guard_.restore(/*over=*/false), IsEmpty());
  const fs::path own = at("sub/.git/worktrees/tree");
  put(at("tree/.git"), "gitdir: " + own.string() + "\n");
  put(own / "commondir", "");
  EXPECT_THAT(guard_.restore(/*over=*/false), IsEmpty());
  put(own / "HEAD", "ref: refs/heads/tree\n");
  EXPECT_THAT(guard_.restore(/*over=*/false), IsEmpty());
  put(own / "commondir", "../..\n");
  EXPECT_THAT(guard_.restore(/*over=*/true), IsEmpty());
  EXPECT_TRUE(fs::exists(at("tree/.git")));
  put(at("other/.git"), "gitdir: /nowhere\n");
  EXPECT_THAT(guard_.restore(/*over=*/true), SizeIs(1));
}

// A search may have gone by before the repository was there; the next one knows.
TEST_F(GuardTest, ALinkToARepositoryElsewhereIsSetAside) {
  const ScratchFolder elsewhere;
  elsewhere.put("HEAD", "ref: refs/heads/main\n");
  guard_.remember();
  put(at("tree/.git"), "gitdir: " + elsewhere.path().string() + "\n");
  EXPECT_THAT(guard_.restore(/*over=*/false), IsEmpty());
  EXPECT_THAT(guard_.restore(/*over=*/false), SizeIs(1));
  EXPECT_FALSE(fs::exists(at("tree/.git")));
}

}  // namespace
}  // namespace corvid::sandbox
