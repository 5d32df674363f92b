// Hostile acts on files: outside the workspace nothing changes and secrets stay hidden.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sandbox/error.h"
#include "sandbox/files.h"
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

  // Covers the workspace with 600 MiB, in namespaces that end with this process.
  bool own_small_disk() const {
    const uid_t user = ::geteuid();
    const gid_t group = ::getegid();
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    put("/proc/self/setgroups", "deny");
    put("/proc/self/uid_map", "0 " + std::to_string(user) + " 1");
    put("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
    return ::mount("none", workspace().c_str(), "tmpfs", 0, "size=600m") == 0;
  }

  void init_repository() { ASSERT_EQ(free("git init -q . && git add attack").exit_code, 0); }
};

TEST_F(HostileFiles, NothingRunsUnderAPolicyThatCannotBeHad) {
  policy_.secrets = {"/dev", outside("file")};  // the one has what the other is hidden behind
  try {
    confined("touch ran");
    FAIL() << "it ran";
  } catch (const SandboxError& error) {
    EXPECT_THAT(error.what(), HasSubstr("nothing runs"));
  }
  EXPECT_FALSE(fs::exists(workspace() / "ran"));
}

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

// What Landlock alone does not hold back.
TEST_F(HostileFiles, ChangesModeTimesOwnerAndAttributesOutside) {
  const std::string group = ::geteuid() == 0 ? "65534" : std::to_string(::getegid());
  for (const std::string& change :
       std::vector<std::string>{"chmod 751", "touch -d @1000000000", "chgrp " + group}) {
    EXPECT_EQ(free(change + " $OUT/file").exit_code, 0) << "no harm shown: " << change;
    const std::string look = "stat -c '%a %Y %Z %g' $OUT/file $OUT";
    const std::string before = free(look).output;
    EXPECT_NE(confined(change + " $OUT/file").exit_code, 0) << change;
    EXPECT_NE(confined(change + " $OUT").exit_code, 0) << change;
    EXPECT_EQ(free(look).output, before) << change;
  }
  expect_refused("xattr ../file");
  expect_refused("xattr ..");
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

TEST_F(HostileFiles, WritesStartupFilesOfAHomeThatCanBeWrittenIn) {
  const std::string home = std::getenv("HOME") ? std::getenv("HOME") : "/";
  setenv("HOME", folder_.path().c_str(), 1);
  policy_ = default_policy(workspace());
  setenv("HOME", home.c_str(), 1);
  policy_.writable = {folder_.path()};
  const auto furnish = [&] {
    fs::remove_all(outside(".local"));
    put(outside(".bashrc"), "good");
    put(outside(".local/bin/ls"), "good");
    for (const char* name : {".zshrc", ".bash_aliases"}) fs::remove(outside(name));
  };
  const std::string command =
      "cd $OUT; echo evil > .bashrc; echo evil > .zshrc; echo evil > .bash_aliases; "
      "mv .local x; mkdir -p .local/bin; echo evil > .local/bin/ls; rm -rf x; echo fine > other";
  furnish();
  free(command);
  EXPECT_EQ(contents(outside(".bashrc")) + contents(outside(".local/bin/ls")), "evil\nevil\n");
  furnish();
  confined(command);
  EXPECT_EQ(contents(outside(".bashrc")) + contents(outside(".local/bin/ls")), "goodgood");
  EXPECT_FALSE(fs::exists(outside(".zshrc")));
  EXPECT_FALSE(fs::exists(outside(".bash_aliases")));
  EXPECT_EQ(contents(outside("other")), "fine\n");
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
  const std::string configure = "git config core.fsmonitor evil; cat .git/config";
  EXPECT_THAT(free(configure).output, HasSubstr("fsmonitor = evil"));
  put(workspace() / ".git/config", before);
  confined(
      configure +
      "; echo evil >> .git/config; rm .git/config; cp attack .git/config; mv attack .git/config");
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
  free(command);
  EXPECT_THAT(contents(workspace() / ".git/hooks/pre-commit"), HasSubstr("evil"));
  fs::remove_all(workspace() / ".git");
  confined(command);
  EXPECT_FALSE(fs::exists(workspace() / ".git/hooks/pre-commit"));
  EXPECT_THAT(contents(workspace() / ".git/config"), Not(HasSubstr("evil")));
  fs::remove_all(workspace() / ".git");
  EXPECT_THAT(confined("git init -q .").notices, IsEmpty());
  EXPECT_EQ(confined("git add attack && git commit -qm one && git log --oneline").exit_code, 0);
}

TEST_F(HostileFiles, MovesTheProtectedFolderAway) {
  const fs::path hook = workspace() / ".git/hooks/pre-commit";
  for (const char* command :
       {"mv .git x; mkdir -p .git/hooks; echo evil > .git/hooks/pre-commit",
        "mv .git/hooks .git/h; mkdir .git/hooks; echo evil > .git/hooks/pre-commit",
        "mv ../ws ../y; mkdir -p ../ws/.git/hooks; echo evil > ../ws/.git/hooks/pre-commit"}) {
    init_repository();
    fs::copy(workspace(), outside("kept"), fs::copy_options::recursive);
    free(command);
    EXPECT_TRUE(fs::exists(hook)) << "no harm shown: " << command;
    fs::remove_all(workspace());
    fs::remove_all(outside("y"));
    fs::rename(outside("kept"), workspace());
    confined(command);
    EXPECT_FALSE(fs::exists(hook)) << command;
    EXPECT_TRUE(fs::exists(workspace() / ".git/hooks")) << command;
  }
}

TEST_F(HostileFiles, WritesSettingsOfEditorsAndAgentsPresentOrMissing) {
  expect_not_made(".vscode/tasks.json", "mkdir -p .vscode; echo evil > .vscode/tasks.json");
  expect_not_made(".mcp.json", "echo evil > .mcp.json");
  expect_not_made(".claude/settings.json", "mkdir -p .claude; echo evil > .claude/settings.json");
  put(workspace() / ".idea/run.xml", "good");
  put(workspace() / ".corvid/settings.toml", "good");
  const std::string command =
      "echo evil > .idea/run.xml; rm -rf .corvid; mv .corvid x; mkdir .corvid; "
      "echo evil > .corvid/settings.toml";
  free(command);
  EXPECT_EQ(contents(workspace() / ".idea/run.xml"), "evil\n");
  EXPECT_EQ(contents(workspace() / ".corvid/settings.toml"), "evil\n");
  put(workspace() / ".idea/run.xml", "good");
  put(workspace() / ".corvid/settings.toml", "good");
  confined(command + "; rm -rf .idea");
  EXPECT_EQ(contents(workspace() / ".idea/run.xml"), "good");
  EXPECT_EQ(contents(workspace() / ".corvid/settings.toml"), "good");
}

// Again and again, and each time it waits until that is gone: if that took one second, and ten for
// a repository, it would not get through.
TEST_F(HostileFiles, MakesWhatIsProtectedWhileItRunsOn) {
  const std::string once = "mkdir .vscode; echo evil > .vscode/tasks.json; cat .vscode/tasks.json";
  EXPECT_EQ(free(once).output, "evil\n") << "no harm shown";
  fs::remove_all(workspace() / ".vscode");
  deadline_ = std::chrono::seconds(25);
  const ProcessResult settings = confined(
      "for i in $(seq 30); do mkdir .vscode; echo evil > .vscode/tasks.json; "
      "while [ -e .vscode ]; do sleep 0.01; done; done; echo through");
  EXPECT_THAT(settings.output, HasSubstr("through")) << settings.timed_out;
  const ProcessResult hooks = confined(
      "for i in 1 2 3; do mkdir -p $i/.git/{objects,refs,hooks}; echo evil > $i/.git/hooks/x; "
      "echo ref: refs/heads/main > $i/.git/HEAD; "
      "while [ -e $i/.git/hooks/x ]; do sleep 0.01; done; done; echo through");
  EXPECT_THAT(hooks.output, HasSubstr("through")) << hooks.timed_out;
}

TEST_F(HostileFiles, TakesTheNamesThatWhatIsRefusedWouldGet) {
  expect_not_made(".envrc", "echo evil > .envrc");
  confined(
      "touch .envrc.refused; for i in $(seq 2 1200); do touch .envrc.refused.$i; done; "
      "echo evil > .envrc");
  EXPECT_FALSE(std::filesystem::exists(workspace() / ".envrc"));
}

TEST_F(HostileFiles, ReplacesAProtectedLink) {
  put(workspace() / "real/tasks.json", "good");
  const std::string command = "rm .vscode; mkdir .vscode; echo evil > .vscode/tasks.json";
  fs::create_directory_symlink("real", workspace() / ".vscode");
  free(command);
  EXPECT_EQ(contents(workspace() / ".vscode/tasks.json"), "evil\n");
  fs::remove_all(workspace() / ".vscode");
  fs::create_directory_symlink("real", workspace() / ".vscode");
  confined(command);
  EXPECT_EQ(contents(workspace() / ".vscode/tasks.json"), "good");
}

TEST_F(HostileFiles, WritesWhereAProtectedLinkLeads) {
  put(workspace() / "kept/real/tasks.json", "good");
  fs::create_directory_symlink("kept/real", workspace() / "other");
  fs::create_directory_symlink("other/", workspace() / ".vscode");
  const std::string behind = "echo evil > kept/real/tasks.json";
  free(behind);
  EXPECT_EQ(contents(workspace() / ".vscode/tasks.json"), "evil\n");
  put(workspace() / "kept/real/tasks.json", "good");
  confined(behind);
  confined("mv kept away; mkdir -p kept/real; echo evil > kept/real/tasks.json");
  confined("rm other; mkdir other; echo evil > other/tasks.json");
  EXPECT_EQ(contents(workspace() / ".vscode/tasks.json"), "good");
  const Files files(policy_);
  for (const char* path : {"kept/real/tasks.json", ".vscode/tasks.json", "other/new.json"}) {
    EXPECT_TRUE(std::holds_alternative<FileError>(files.write(workspace() / path, "evil"))) << path;
  }
  EXPECT_TRUE(std::holds_alternative<bool>(files.write(workspace() / "kept/mine", "fine")));
}

TEST_F(HostileFiles, TheGitFolderOfAWorktreeCanBeCommittedToButNotReconfigured) {
  ASSERT_EQ(free("git init -q ../main; cd ../main; git -c user.name=a -c user.email=a@b commit -q "
                 "--allow-empty -m zero; git worktree add -q ../tree")
                .exit_code,
            0);
  policy_ = default_policy(outside("tree"));
  EXPECT_EQ(confined("echo x > x; git add x; git commit -qm one; git log --oneline").exit_code, 0);
  const std::string command =
      "echo evil > $OUT/main/.git/hooks/pre-commit; echo evil > $OUT/main/other";
  free(command);
  EXPECT_TRUE(fs::remove(outside("main/.git/hooks/pre-commit")));
  EXPECT_TRUE(fs::remove(outside("main/other")));
  confined(command);
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

// A small disk of its own. What is left on it is enough for the log of the session.
TEST_F(HostileFiles, FillsTheDiskOfTheWorkspace) {
  const std::string fill = "fallocate -l 400M x; sleep 60; fallocate -l 200M y; sleep 60";
  const pid_t child = ::fork();
  if (child == 0) {
    if (!own_small_disk()) ::_exit(77);
    const ProcessResult harm = free("fallocate -l 600M x; echo log > log; stat -c %s log");
    if (harm.output.find("\n4\n") != std::string::npos) ::_exit(2);  // there is room for it
    fs::remove(workspace() / "x");
    const ProcessResult result = confined(fill);
    if (result.notices.empty()) ::_exit(3);
    put(workspace() / "log", std::string(1 << 20, 'x'));
    ::_exit(fs::file_size(workspace() / "log") == 1 << 20 ? 0 : 4);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "needs a user and a mount namespace";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(HostileFiles, MakesASetUserIdProgram) {
  expect_refused("setuid x");
}

// One of the machine's that has the bit, run by somebody else than root: the loader prints nothing
// of a process that has got rights by it.
TEST_F(HostileFiles, RunsASetUserIdProgramOfTheMachine) {
  if (::geteuid() == 0) GTEST_SKIP() << "root gets nothing by it";
  std::string program;
  for (const char* path : {"/usr/bin/su", "/usr/bin/mount", "/usr/bin/umount"}) {
    struct stat status {};
    const bool has_bit = ::stat(path, &status) == 0 && (status.st_mode & S_ISUID);
    if (has_bit && status.st_uid == 0) program = path;
  }
  if (program.empty()) GTEST_SKIP() << "no set-user-ID program is here";
  const std::string look = "LD_SHOW_AUXV=1 " + program + " --version";
  const ProcessResult harm = free(look);
  if (harm.output.find("AT_SECURE") != std::string::npos) {
    std::printf("no harm to show on this machine: %s gives no rights\n", program.c_str());
  }
  EXPECT_EQ(harm.exit_code, 0);
  EXPECT_THAT(confined(look).output, testing::ContainsRegex("AT_SECURE: +0\n"));
}

// As another user than root, a program of root's with the set-user-ID bit makes one root.
TEST_F(HostileFiles, RunsASetUserIdProgram) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make such a program";
  fs::permissions(folder_.path(), fs::perms(0711));
  fs::permissions(workspace(), fs::perms(0711));
  ASSERT_EQ(::chmod((workspace() / "attack").c_str(), 04755), 0);
  EXPECT_EQ(free("setpriv --reuid=nobody --clear-groups ./attack root").exit_code, 0);
  EXPECT_NE(confined("./attack root").exit_code, 0);
}

TEST_F(HostileFiles, LiftsReadOnlyMounts) {
  expect_refused("remount /");
  expect_refused("umount /proc");
  EXPECT_EQ(thrown_away("./attack write /proc/sys/kernel/pid_max 4000").exit_code, 0);
  EXPECT_NE(confined("./attack write /proc/sys/kernel/pid_max 4000").exit_code, 0);
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
  EXPECT_EQ(free("echo one > /tmp/corvid-hostile-$$ && ls /tmp/corvid-hostile-$$; "
                 "rm /tmp/corvid-hostile-$$")
                .exit_code,
            0);
  const std::unique_ptr<Sandbox> sandbox = make_sandbox(policy_);
  sandbox::run(*sandbox, shell("echo one > $TMPDIR/corvid-hostile"));
  EXPECT_EQ(sandbox::run(*sandbox, shell("cat $TMPDIR/corvid-hostile")).output, "one\n");
  EXPECT_FALSE(fs::exists("/tmp/corvid-hostile"));
}

}  // namespace
}  // namespace corvid::sandbox
