// Hostile acts on what git obeys: whatever a command leaves behind, git that is run afterwards,
// outside the sandbox, runs nothing of it.
#include "sandbox/error.h"
#include "sandbox/files.h"
#include "tests/sandbox/hostile.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kCommit = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x";

class HostileGit : public Hostile {
 protected:
  HostileGit() {
    deadline_ = std::chrono::minutes(5);  // git is many processes
    put(outside("evil"), "#!/bin/sh\ntouch $OUT/ran\n");
    fs::permissions(outside("evil"), fs::perms(0755));
  }

  // A workspace with nothing in it but what `prepare` makes.
  void begin(const std::string& prepare) {
    fs::remove(outside("ran"));
    fs::remove_all(workspace());
    fs::create_directory(workspace());
    const ProcessResult made = free(prepare);
    ASSERT_EQ(made.exit_code, 0) << made.output;
    policy_ = default_policy(workspace());
  }

  // After `command`, `look` runs evil when nothing holds the command back, and not when it is
  // confined.
  void expect_runs_nothing(const std::string& prepare, const std::string& command,
                           const std::string& look = "git status --short") {
    begin(prepare);
    free(command);
    free(look);
    EXPECT_TRUE(fs::exists(outside("ran"))) << "no harm shown: " << command;
    begin(prepare);
    const ProcessResult result = confined(command);
    free(look);
    EXPECT_FALSE(fs::exists(outside("ran"))) << command << "\n" << result.output;
  }

  const std::string repository_ =
      "git init -q . && echo a > a && git add a && " + std::string(kCommit);
  const std::string submodule_ =
      "rm -rf $OUT/src && git init -q $OUT/src && (cd $OUT/src && echo b > b && git add b && " +
      std::string(kCommit) + ") && " + repository_ +
      " && git -c protocol.file.allow=always submodule --quiet add $OUT/src ";
};

TEST_F(HostileGit, NamesAnotherFolderAsTheCommonOne) {
  const std::string copy =
      "mkdir c; cp -r .git/objects .git/refs c; "
      "printf '[core]\\nrepositoryformatversion=0\\nfsmonitor=%s\\n' $OUT/evil > c/config; ";
  expect_runs_nothing(repository_, copy + "echo ../c > .git/commondir");
  expect_runs_nothing(repository_ + " && git worktree add -q w",
                      copy + "echo $PWD/c > .git/worktrees/w/commondir", "git -C w status --short");
  expect_runs_nothing(
      submodule_ + "libs/s",
      "cp -r .git/modules/libs/s c; git config -f c/config core.worktree $PWD/libs/s;"
      "git config -f c/config core.fsmonitor $OUT/evil;"
      "echo $PWD/c > .git/modules/libs/s/commondir");
}

TEST_F(HostileGit, ReconfiguresASubmodule) {
  expect_runs_nothing(submodule_ + "libs/s",
                      "git config -f .git/modules/libs/s/config core.fsmonitor $OUT/evil");
  const std::string copy =
      "cp -r .git/modules/s c; git config -f c/config core.worktree $PWD/s; "
      "git config -f c/config core.fsmonitor $OUT/evil; ";
  expect_runs_nothing(submodule_ + "s", copy + "echo gitdir: ../c > s/.git");
  expect_runs_nothing(submodule_ + "s", copy + "rm s/.git; ln -s ../c s/.git");
}

TEST_F(HostileGit, ReconfiguresARepositoryInTheWorkspace) {
  const std::string nested = "mkdir n && cd n && " + repository_;
  const std::string look = std::string("cd n; git status; ") + kCommit;
  expect_runs_nothing(nested, "cp $OUT/evil n/.git/hooks/pre-commit", look);
  expect_runs_nothing(nested, "git -C n config core.fsmonitor $OUT/evil", look);
  expect_runs_nothing(nested, "mv n m; git -C m config core.fsmonitor $OUT/evil; mv m n", look);
  expect_runs_nothing(nested, "mv n/.git n/g; git init -q n; cp $OUT/evil n/.git/hooks/pre-commit",
                      look);
  expect_runs_nothing(nested,
                      "mv n/.git g; git -C g config core.fsmonitor $OUT/evil;"
                      "git -C g config core.worktree $PWD/n; echo gitdir: ../g > n/.git",
                      look);
}

TEST_F(HostileGit, MakesARepositoryThatRunsSomething) {
  const std::string look = std::string("git status; ") + kCommit;
  const std::string init = "git init -q .; ";
  expect_runs_nothing("true", init + "echo '[core] fsmonitor='$OUT'/evil #]' >> .git/config", look);
  expect_runs_nothing("true",
                      init +
                          "mv .git/config c; git config -f c core.fsmonitor $OUT/evil;"
                          "ln -s ../c .git/config",
                      look);
  expect_runs_nothing("true",
                      init +
                          "rm -rf .git/hooks; mkdir h; cp $OUT/evil h/pre-commit;"
                          "ln -s ../h .git/hooks",
                      look);
  expect_runs_nothing("true",
                      init +
                          "yes '# a comment' | head -c 1100000 >> .git/config;"
                          "git config core.fsmonitor $OUT/evil",
                      look);
  expect_runs_nothing("true", "git init -q deep/er; cp $OUT/evil deep/er/.git/hooks/pre-commit",
                      "cd deep/er; " + look);
  expect_runs_nothing("true",
                      "git init -q --bare b.git; cp $OUT/evil b.git/hooks/post-update;"
                      "git -C b.git config core.fsmonitor $OUT/evil;"
                      "git -C b.git config core.bare false; git -C b.git config core.worktree .",
                      "cd b.git; " + look);
}

TEST_F(HostileGit, PutsABareRepositoryInPlaceOfTheOneThatWasThere) {
  expect_runs_nothing(repository_,
                      "cp -r .git/objects .git/refs .git/HEAD .; rm .git/HEAD; "
                      "git config -f config core.repositoryformatversion 0; "
                      "git config -f config core.worktree $PWD; "
                      "git config -f config core.fsmonitor $OUT/evil");
}

TEST_F(HostileGit, AddsARepositoryAsASubmoduleOfTheWorkspaces) {
  expect_runs_nothing(repository_, "mkdir n; (cd n; " + repository_ +
                                       "); git add n; git -C n config core.fsmonitor $OUT/evil");
}

TEST_F(HostileGit, WritesWhereTheConfigurationLeads) {
  const std::string hooks =
      "mkdir -p tools/hooks && echo '#!/bin/sh' > tools/hooks/pre-commit && "
      "chmod +x tools/hooks/pre-commit && git config core.hooksPath tools/hooks";
  expect_runs_nothing(repository_ + " && " + hooks, "cat $OUT/evil > tools/hooks/pre-commit",
                      kCommit);
  expect_runs_nothing(repository_ + " && " + hooks,
                      "mv tools t; mkdir -p tools/hooks; cp $OUT/evil tools/hooks/pre-commit",
                      kCommit);
  expect_runs_nothing(repository_ + " && git config core.hooksPath not/yet",
                      "mkdir -p not/yet; cp $OUT/evil not/yet/pre-commit", kCommit);
  expect_runs_nothing(repository_ + " && touch extra && git config include.path ../extra",
                      "git config -f extra core.fsmonitor $OUT/evil");
}

// Each of the names costs mounts, and with them those of the folders that it lies in.
TEST_F(HostileGit, NamesManyFilesDeepDownInItsConfiguration) {
  begin(repository_ +
        " && d=deep/b/c/d/e/f/g/h && mkdir -p $d && for i in $(seq 60); do"
        " touch $d/$i; git config --add include.path ../$d/$i; done");
  const std::unique_ptr<Sandbox> plain = make_sandbox(default_policy(outside("")));
  const std::unique_ptr<Sandbox> sandbox = make_sandbox(default_policy(workspace()));
  ASSERT_EQ(sandbox->rungs().size(), plain->rungs().size());
  for (std::size_t i = 0; i < plain->rungs().size(); ++i) {
    EXPECT_EQ(sandbox->rungs()[i].holds, plain->rungs()[i].holds) << sandbox->rungs()[i].why;
  }
  sandbox::run(*sandbox, shell("echo evil > deep/b/c/d/e/f/g/h/60; mv deep away"));
  EXPECT_EQ(contents(workspace() / "deep/b/c/d/e/f/g/h/60"), "");
}

TEST_F(HostileGit, NamesMoreInItsConfigurationThanIsProtected) {
  begin(repository_);
  free("for i in $(seq 65); do git config --add include.path ../$i; done");
  EXPECT_THROW(default_policy(workspace()), SandboxError);
}

TEST_F(HostileGit, MakesTheWorkspaceLookLikeARepositoryItself) {
  begin(repository_);
  const std::unique_ptr<Sandbox> sandbox = make_sandbox(policy_);
  sandbox::run(*sandbox, shell("cp .git/HEAD .; mkdir objects"));
  sandbox::run(*sandbox, shell("echo evil > .git/hooks/pre-commit; echo evil > .envrc"));
  EXPECT_FALSE(fs::exists(workspace() / ".git/hooks/pre-commit"));
  EXPECT_FALSE(fs::exists(workspace() / ".envrc"));
}

TEST_F(HostileGit, TheFileToolsMakeNoRepositoryEither) {
  begin("mkdir b");
  const auto write_all = [](const Policy& policy, const std::string& evil) {
    const Files files(policy);
    files.write("b/refs/x", "");
    files.write("b/objects/x", "");
    files.write("b/HEAD", "ref: refs/heads/main\n");
    files.write("b/config", "[core]\nrepositoryformatversion = 0\nbare = false\nworktree = " +
                                policy.workspace.string() + "/b\nfsmonitor = " + evil + "\n");
  };
  Policy open = policy_;
  open.mode = Policy::Mode::off;
  write_all(open, outside("evil"));
  free("cd b; git status");
  EXPECT_TRUE(fs::exists(outside("ran"))) << "no harm shown";
  begin("mkdir b");
  write_all(policy_, outside("evil"));
  free("cd b; git status");
  EXPECT_FALSE(fs::exists(outside("ran")));
  EXPECT_TRUE(fs::exists(workspace() / "b/config"));  // for what is no repository it is only a name
  const Files files(policy_);
  put(workspace() / "b/HEAD", "");
  for (const char* name : {"b/config", "b/commondir", "b/hooks/update", "b/refs/heads/x"}) {
    EXPECT_TRUE(std::holds_alternative<FileError>(files.write(name, "x"))) << name;
  }
}

TEST_F(HostileGit, WhatDoesNoHarmIsLeftAlone) {
  begin("mkdir n && cd n && " + repository_ + " && git config filter.x.clean cat");
  const std::string before = contents(workspace() / "n/.git/config");
  ProcessResult result = confined("cd n; echo c > c; git add c; git commit -q -m two; git log");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.notices, IsEmpty());
  EXPECT_EQ(contents(workspace() / "n/.git/config"), before);
  result = confined(
      "git init -q made; cd made; echo c > c; git add c; git commit -q -m one; "
      "git config user.name me; git worktree add -q ../tree; git worktree remove ../tree");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.notices, IsEmpty());
  result = confined("rm -rf n made");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.notices, IsEmpty());
}

}  // namespace
}  // namespace corvid::sandbox
