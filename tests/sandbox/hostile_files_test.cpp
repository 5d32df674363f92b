// Hostile acts on files: outside the workspace nothing changes and secrets stay hidden.
#include <sys/stat.h>

#include "sandbox/error.h"
#include "tests/sandbox/hostile.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class HostileFiles : public Hostile {
 protected:
  // The command changes $OUT/file when nothing holds it back.
  void expect_outside_unchanged(const std::string& command) {
    fs::remove_all(workspace() / "x");
    free(command);
    EXPECT_NE(contents(outside("file")), "good\n") << "no harm shown: " << command;
    put(outside("file"), "good\n");
    fs::remove_all(workspace() / "x");
    confined(command);
    EXPECT_EQ(contents(outside("file")), "good\n") << command;
  }

  // The command makes `name` in the workspace when nothing holds it back.
  void expect_not_made(const std::string& name, const std::string& command) {
    free(command);
    EXPECT_THAT(contents(workspace() / name), HasSubstr("evil")) << "no harm shown: " << command;
    fs::remove_all(workspace() / name);
    const ProcessResult result = confined(command);
    EXPECT_THAT(contents(workspace() / name), Not(HasSubstr("evil"))) << result.output;
  }

  void init_repository() { ASSERT_EQ(free("git init -q . && git add attack").exit_code, 0); }
};

TEST_F(HostileFiles, WritesByRelativeAbsoluteLinkedAndMagicPaths) {
  expect_outside_unchanged("echo evil > ../file");
  expect_outside_unchanged("echo evil > $OUT/file");
  expect_outside_unchanged("ln -s ../file x; echo evil > x");
  expect_outside_unchanged("ln -s $OUT x; echo evil > x/file");
  expect_outside_unchanged("echo evil > /proc/self/root$OUT/file");
  expect_outside_unchanged("cd ..; echo evil > /proc/self/cwd/file");
  expect_outside_unchanged("mv attack x; rm -f ../file; mv x ../file; cp ../file attack");
}

TEST_F(HostileFiles, WritesThroughAHardLink) {
  expect_outside_unchanged("ln ../file x; echo evil > x");
}

TEST_F(HostileFiles, ChangesModeAndTimesOutside) {
  ::chmod(outside("file").c_str(), 0600);
  confined("chmod 777 $OUT/file; touch -d 2001-01-01 $OUT/file; chmod 777 $OUT");
  struct stat status {};
  ::stat(outside("file").c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_GT(status.st_mtime, 1'500'000'000);
}

TEST_F(HostileFiles, ReadsSecrets) {
  put(outside("keys/id"), "hush");
  policy_.secrets = {outside("keys"), outside("token")};
  put(outside("token"), "hush");
  const std::string look =
      "cat $OUT/keys/id $OUT/token; ln -s $OUT/keys x; cat x/id; cp -r $OUT/keys y; cat y/id; "
      "cat /proc/self/root$OUT/token; ls $OUT/keys";
  EXPECT_THAT(free(look).output, HasSubstr("hush"));
  fs::remove_all(workspace() / "x");
  fs::remove_all(workspace() / "y");
  EXPECT_THAT(confined(look).output, Not(HasSubstr("hush")));
}

TEST_F(HostileFiles, ReadsWhatAHomeFolderHides) {
  const std::string home = std::getenv("HOME") ? std::getenv("HOME") : "/";
  setenv("HOME", folder_.path().c_str(), 1);
  policy_ = default_policy(workspace());
  setenv("HOME", home.c_str(), 1);
  std::string look = "cat";
  for (const char* name : {".ssh/id_ed25519", ".aws/credentials", ".config/gh/hosts.yml", ".netrc",
                           ".bash_history", ".mozilla/cookies", ".claude/history", ".npmrc",
                           ".local/share/corvid/sessions.db", ".docker/config.json"}) {
    put(outside(name), "hush");
    look += " $OUT/" + std::string(name);
  }
  EXPECT_THAT(free(look).output, HasSubstr("hush"));
  EXPECT_THAT(confined(look).output, Not(HasSubstr("hush")));
}

TEST_F(HostileFiles, AWorkspaceInsideAHiddenFolderWorks) {
  put(outside("key"), "hush");
  policy_.secrets = {folder_.path()};
  const ProcessResult result = confined("echo hi > a; cat a; cat ../key");
  EXPECT_THAT(result.output, HasSubstr("hi\n"));
  EXPECT_THAT(result.output, Not(HasSubstr("hush")));
  EXPECT_EQ(contents(workspace() / "a"), "hi\n");
}

TEST_F(HostileFiles, WritesGitHooksAndSettings) {
  init_repository();
  expect_not_made(".git/hooks/pre-commit", "echo evil > .git/hooks/pre-commit");
  expect_not_made(".git/config.worktree", "echo evil > .git/config.worktree");
  expect_not_made(".git/info/attributes", "mkdir -p .git/info; echo evil > .git/info/attributes");
  const std::string before = contents(workspace() / ".git/config");
  confined(
      "git config core.fsmonitor evil; echo evil >> .git/config; rm .git/config; "
      "cp attack .git/config; mv attack .git/config");
  EXPECT_EQ(contents(workspace() / ".git/config"), before);
}

TEST_F(HostileFiles, WritesGitHooksWhereThereIsNoFolderForThem) {
  init_repository();
  fs::remove_all(workspace() / ".git/hooks");
  const std::string command = "mkdir .git/hooks; echo evil > .git/hooks/pre-commit";
  free(command);
  ASSERT_TRUE(fs::exists(workspace() / ".git/hooks/pre-commit"));
  fs::remove_all(workspace() / ".git/hooks");
  const ProcessResult result = confined(command);
  EXPECT_FALSE(fs::exists(workspace() / ".git/hooks/pre-commit"));
  EXPECT_THAT(result.notices, Not(IsEmpty()));
}

TEST_F(HostileFiles, MakesARepositoryWithHooksOfItsOwn) {
  const std::string command =
      "git init -q .; echo evil > .git/hooks/pre-commit; git config core.fsmonitor evil";
  confined(command);
  EXPECT_FALSE(fs::exists(workspace() / ".git/hooks/pre-commit"));
  EXPECT_THAT(contents(workspace() / ".git/config"), Not(HasSubstr("evil")));
  fs::remove_all(workspace() / ".git");
  EXPECT_THAT(confined("git init -q .").notices, IsEmpty());
  EXPECT_EQ(confined("git add attack && git commit -qm one && git log --oneline").exit_code, 0);
}

TEST_F(HostileFiles, MovesTheProtectedFolderAway) {
  init_repository();
  confined("mv .git x; mkdir -p .git/hooks; echo evil > .git/hooks/pre-commit");
  EXPECT_FALSE(fs::exists(workspace() / ".git/hooks/pre-commit"));
  confined("mv .git/hooks .git/h; mkdir .git/hooks; echo evil > .git/hooks/pre-commit");
  EXPECT_FALSE(fs::exists(workspace() / ".git/hooks/pre-commit"));
  confined("mv ../ws ../x; mkdir ../ws; rm -rf .git/hooks");
  EXPECT_TRUE(fs::exists(workspace() / ".git/hooks"));
}

TEST_F(HostileFiles, WritesSettingsOfEditorsAndAgentsPresentOrMissing) {
  expect_not_made(".vscode/tasks.json", "mkdir -p .vscode; echo evil > .vscode/tasks.json");
  expect_not_made(".mcp.json", "echo evil > .mcp.json");
  expect_not_made(".claude/settings.json", "mkdir -p .claude; echo evil > .claude/settings.json");
  put(workspace() / ".idea/run.xml", "good");
  put(workspace() / ".corvid/settings.toml", "good");
  confined(
      "echo evil > .idea/run.xml; rm -rf .idea .corvid; mv .corvid x; "
      "mkdir .corvid; echo evil > .corvid/settings.toml");
  EXPECT_EQ(contents(workspace() / ".idea/run.xml"), "good");
  EXPECT_EQ(contents(workspace() / ".corvid/settings.toml"), "good");
}

TEST_F(HostileFiles, TakesTheNamesThatWhatIsRefusedWouldGet) {
  confined(
      "touch .envrc.refused; for i in $(seq 2 1200); do touch .envrc.refused.$i; done; "
      "echo evil > .envrc");
  EXPECT_FALSE(std::filesystem::exists(workspace() / ".envrc"));
}

TEST_F(HostileFiles, ReplacesAProtectedLink) {
  put(workspace() / "real/tasks.json", "good");
  fs::create_directory_symlink("real", workspace() / ".vscode");
  confined("rm .vscode; mkdir .vscode; echo evil > .vscode/tasks.json");
  EXPECT_EQ(contents(workspace() / ".vscode/tasks.json"), "good");
}

TEST_F(HostileFiles, TheGitFolderOfAWorktreeCanBeCommittedToButNotReconfigured) {
  ASSERT_EQ(free("git init -q ../main; cd ../main; git -c user.name=a -c user.email=a@b commit -q "
                 "--allow-empty -m zero; git worktree add -q ../tree")
                .exit_code,
            0);
  policy_ = default_policy(outside("tree"));
  EXPECT_EQ(confined("echo x > x; git add x; git commit -qm one; git log --oneline").exit_code, 0);
  confined("echo evil > $OUT/main/.git/hooks/pre-commit; echo evil > $OUT/main/other");
  EXPECT_FALSE(fs::exists(outside("main/.git/hooks/pre-commit")));
  EXPECT_FALSE(fs::exists(outside("main/other")));
}

TEST_F(HostileFiles, AForgedGitFileOpensNoOtherFolder) {
  put(outside("victim/HEAD"), "ref: refs/heads/main");
  put(workspace() / ".git", "gitdir: " + outside("victim").string());
  policy_ = default_policy(workspace());
  EXPECT_THAT(policy_.writable, IsEmpty());
}

TEST_F(HostileFiles, AWritableFolderThatIsNotThereIsAnError) {
  policy_.writable = {outside("missing")};
  EXPECT_THROW(confined("true"), SandboxError);
  policy_ = default_policy("/");
  EXPECT_THROW(confined("true"), SandboxError);
}

TEST_F(HostileFiles, FillsTheDisk) {
  policy_.limits.tmp_bytes = 8 << 20;
  policy_.limits.file_bytes = 4 << 20;
  const std::string sizes =
      "head -c 30000000 /dev/zero > big; stat -c %s big; "
      "for i in 1 2 3 4; do head -c 3000000 /dev/zero > /tmp/corvid-hostile-$i; done; "
      "cat /tmp/corvid-hostile-* | wc -c; rm -f /tmp/corvid-hostile-*";
  EXPECT_EQ(free(sizes).output, "30000000\n12000000\n");
  EXPECT_THAT(confined(sizes).output, Not(HasSubstr("30000000\n")));
  if (holds("mount namespace")) {
    EXPECT_THAT(confined(sizes).output, Not(HasSubstr("12000000\n")));
  }
}

TEST_F(HostileFiles, MakesASetUserIdProgram) {
  expect_refused("setuid x");
}

TEST_F(HostileFiles, LiftsReadOnlyMounts) {
  expect_refused("remount /");
  expect_refused("umount /proc");
  EXPECT_NE(confined("./attack write /proc/sys/kernel/pid_max 4000000").exit_code, 0);
  EXPECT_NE(confined("echo evil > /proc/sysrq-trigger").exit_code, 0);
  EXPECT_NE(confined("touch /usr/x || touch /etc/x || touch /x").exit_code, 0);
}

TEST_F(HostileFiles, WhatIsWrittenInsideBelongsToTheUserOutside) {
  ASSERT_EQ(confined("echo x > mine; mkdir folder").exit_code, 0);
  struct stat file {
  }, folder{};
  ::stat((workspace() / "mine").c_str(), &file);
  ::stat((workspace() / "folder").c_str(), &folder);
  EXPECT_EQ(file.st_uid, ::geteuid());
  EXPECT_EQ(folder.st_uid, ::geteuid());
  EXPECT_EQ(file.st_gid, ::getegid());
}

TEST_F(HostileFiles, TmpIsPrivateAndLastsAsLongAsTheSandbox) {
  const std::unique_ptr<Sandbox> sandbox = make_sandbox(policy_);
  sandbox::run(*sandbox, shell("echo one > $TMPDIR/corvid-hostile"));
  EXPECT_EQ(sandbox::run(*sandbox, shell("cat $TMPDIR/corvid-hostile")).output, "one\n");
  EXPECT_FALSE(fs::exists("/tmp/corvid-hostile"));
}

}  // namespace
}  // namespace corvid::sandbox
