// The file tools' eyes and hands obey the policy in this process, whatever the paths say.
#include "sandbox/files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "tests/sandbox/play.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;
using Kind = FileError::Kind;
using testing::HasSubstr;

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(home_.path() / "ws");
    policy_ = default_policy(home_.path() / "ws");
    put(outside("secret/key"), "hush");
    put(outside("open"), "public");
    policy_.secrets.push_back(outside("secret"));
  }

  fs::path outside(const std::string& name) const { return home_.path() / name; }
  fs::path inside(const std::string& name) const { return policy_.workspace / name; }

  std::string read(const fs::path& path) {
    auto result = files_.read(path, 1 << 20);
    if (auto* error = std::get_if<FileError>(&result)) return "error: " + error->message;
    return std::get<FileBytes>(result).bytes;
  }
  Kind refused_read(const fs::path& path) {
    auto result = files_.read(path, 1 << 20);
    EXPECT_TRUE(std::holds_alternative<FileError>(result)) << path;
    return std::get<FileError>(result).kind;
  }
  Kind refused_write(const fs::path& path) {
    auto result = files_.write(path, "evil");
    EXPECT_TRUE(std::holds_alternative<FileError>(result)) << path;
    return std::get<FileError>(result).kind;
  }
  // What the policy is there for: without it the same call reaches the file.
  std::string harm_of_reading(const fs::path& path) {
    const Files unprotected(without_policy());
    auto result = unprotected.read(path, 1 << 20);
    return std::holds_alternative<FileBytes>(result) ? std::get<FileBytes>(result).bytes : "";
  }
  bool harm_of_writing(const fs::path& path) {
    const Files unprotected(without_policy());
    return std::holds_alternative<bool>(unprotected.write(path, "evil"));
  }
  const Policy& without_policy() {
    off_ = policy_;
    off_.mode = Policy::Mode::off;
    return off_;
  }
  bool created(const fs::path& path, std::string_view bytes) {
    auto result = files_.write(path, bytes);
    if (auto* error = std::get_if<FileError>(&result)) ADD_FAILURE() << error->message;
    return std::get<bool>(result);
  }

  ScratchFolder home_;
  Policy policy_, off_;
  Files files_{policy_};
};

TEST_F(FilesTest, WritesAndReadsBack) {
  EXPECT_TRUE(created("a/b/c.txt", "one"));
  EXPECT_FALSE(created("a/b/c.txt", "two"));
  EXPECT_EQ(read("a/b/c.txt"), "two");
  EXPECT_EQ(read(inside("a/b/../b/c.txt")), "two");
}

TEST_F(FilesTest, ReplacingKeepsTheModeAndOtherNamesOfTheFile) {
  put(inside("tool"), "old");
  ::chmod(inside("tool").c_str(), 0750);
  fs::create_hard_link(inside("tool"), outside("linked"));
  EXPECT_FALSE(created("tool", "new"));
  struct stat status {};
  ::stat(inside("tool").c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0750u);
  EXPECT_EQ(contents(outside("linked")), "old");
}

TEST_F(FilesTest, LeavesNoTemporaryFilesBehind) {
  created("x", "1");
  refused_write("x/y");
  EXPECT_EQ(std::distance(fs::directory_iterator(policy_.workspace), {}), 1);
}

TEST_F(FilesTest, ReadsAnywhereButSecrets) {
  EXPECT_EQ(read(outside("open")), "public");
  EXPECT_EQ(read("../open"), "public");
  EXPECT_EQ(harm_of_reading(outside("secret/key")), "hush");
  EXPECT_EQ(refused_read(outside("secret/key")), Kind::denied);
  EXPECT_EQ(refused_read("../secret/key"), Kind::denied);
}

TEST_F(FilesTest, ReadableFoldersLiftASecretAboveThem) {
  put(outside("secret/spill/1"), "long output");
  policy_.readable.push_back(outside("secret/spill"));
  EXPECT_EQ(read(outside("secret/spill/1")), "long output");
  EXPECT_EQ(refused_read(outside("secret/key")), Kind::denied);
}

TEST_F(FilesTest, AWorkspaceBelowASecretIsNotASecret) {
  policy_.secrets.push_back(home_.path());
  put(inside("a"), "mine");
  EXPECT_EQ(read("a"), "mine");
  EXPECT_EQ(refused_read(outside("open")), Kind::denied);
}

TEST_F(FilesTest, WritesNowhereOutside) {
  for (const fs::path& path :
       {fs::path("../new"), fs::path("a/../../new"), outside("new"), outside("ws-not/new")}) {
    EXPECT_TRUE(harm_of_writing(path)) << path;
    fs::remove_all(outside("new"));
    fs::remove_all(outside("ws-not"));
    EXPECT_EQ(refused_write(path), Kind::denied) << path;
    EXPECT_FALSE(fs::exists(outside("new")));
    EXPECT_FALSE(fs::exists(outside("ws-not")));
  }
}

TEST_F(FilesTest, WritesInFurtherWritableFolders) {
  fs::create_directory(outside("more"));
  policy_.writable.push_back(outside("more"));
  EXPECT_TRUE(created(outside("more/a"), "x"));
}

TEST_F(FilesTest, LinksThatLeadOutsideAreRefused) {
  fs::create_symlink(outside("open"), inside("out"));
  fs::create_directory_symlink(home_.path(), inside("up"));
  fs::create_symlink("../open", inside("relative"));
  fs::create_symlink(outside("fresh"), inside("dangling"));
  for (const char* name : {"out", "up/open", "relative"}) {
    put(outside("open"), "public");
    EXPECT_EQ(harm_of_reading(name), "public");
    EXPECT_TRUE(harm_of_writing(name));
    EXPECT_EQ(contents(outside("open")), "evil") << name;
    put(outside("open"), "public");
    EXPECT_EQ(refused_read(name), Kind::denied) << name;
    EXPECT_EQ(refused_write(name), Kind::denied) << name;
  }
  EXPECT_TRUE(harm_of_writing("up/new"));
  EXPECT_TRUE(fs::remove(outside("new")));
  EXPECT_EQ(refused_write("up/new"), Kind::denied);
  EXPECT_EQ(refused_write("up/new/deep"), Kind::denied);
  EXPECT_EQ(refused_write("dangling"), Kind::denied);
  EXPECT_EQ(contents(outside("open")), "public");
  EXPECT_FALSE(fs::exists(outside("new")));
  EXPECT_FALSE(fs::exists(outside("fresh")));
}

TEST_F(FilesTest, LinksThatStayInsideAreFollowed) {
  put(inside("real/file"), "text");
  fs::create_directory_symlink("real", inside("short"));
  fs::create_directory_symlink(inside("real"), inside("absolute"));
  EXPECT_EQ(read("short/file"), "text");
  EXPECT_EQ(read("absolute/file"), "text");
  EXPECT_TRUE(created("absolute/new", "1"));
  EXPECT_EQ(contents(inside("real/new")), "1");
  fs::create_symlink("real/file", inside("file"));
  EXPECT_FALSE(created("file", "changed"));
  EXPECT_EQ(contents(inside("real/file")), "changed");
  EXPECT_TRUE(fs::is_symlink(inside("file")));
}

TEST_F(FilesTest, AnotherNameOfTheWorkspaceIsTheWorkspace) {
  fs::create_directory_symlink(policy_.workspace, outside("alias"));
  EXPECT_TRUE(created(outside("alias/a"), "x"));
  EXPECT_EQ(read(outside("alias/a")), "x");
}

// The link of a workspace is looked at once, when the policy is made.
TEST_F(FilesTest, AWorkspaceWhoseLinkIsTurnedElsewhereStaysWhereItWas) {
  fs::create_directory_symlink(policy_.workspace, outside("alias"));
  policy_ = default_policy(outside("alias"));
  fs::remove(outside("alias"));
  fs::create_directory(outside("elsewhere"));
  fs::create_directory_symlink(outside("elsewhere"), outside("alias"));
  EXPECT_TRUE(harm_of_writing(outside("alias/a")));
  EXPECT_TRUE(fs::remove(outside("elsewhere/a")));
  EXPECT_EQ(refused_write(outside("alias/a")), Kind::denied);
  EXPECT_TRUE(created("a", "x"));
  EXPECT_EQ(contents(outside("ws/a")), "x");
  EXPECT_TRUE(fs::is_empty(outside("elsewhere")));
}

// Two links to the folder they lie in: whoever follows them finds 2^40 ways to one file.
TEST_F(FilesTest, ListingCyclesOfLinksEnds) {
  put(inside("file"), "x");
  for (const char* name : {"a", "b"}) fs::create_directory_symlink(".", inside(name));
  const auto follow = fs::directory_options::follow_directory_symlink;
  int n_followed = 0;
  for ([[maybe_unused]] const auto& entry :
       fs::recursive_directory_iterator(policy_.workspace, follow)) {
    if (++n_followed == 10'000) break;
  }
  EXPECT_EQ(n_followed, 10'000) << "no harm shown";
  EXPECT_EQ(std::get<std::vector<FolderEntry>>(files_.list(".", true, 10'000)).size(), 3u);
}

TEST_F(FilesTest, LinkLoopsEnd) {
  fs::create_symlink("b", inside("a"));
  fs::create_symlink("a", inside("b"));
  EXPECT_EQ(refused_read("a"), Kind::denied);
  EXPECT_EQ(refused_write("a"), Kind::denied);
}

TEST_F(FilesTest, ProcAndItsMagicLinksAreRefused) {
  put(inside("a"), "x");
  const std::string magic = "/proc/self/root" + outside("open").string();
  EXPECT_NE(contents("/proc/self/environ"), "");  // a plain open goes there
  EXPECT_EQ(contents(magic), "public");
  EXPECT_EQ(refused_read(magic), Kind::denied);
  EXPECT_EQ(refused_write(magic), Kind::denied);
  for (const char* path : {"/proc/self/environ", "/proc/self/root/etc/passwd", "/proc/1/cwd/x",
                           "/dev/fd/0", "/proc/self/mem", "/proc/self/cwd/a"}) {
    EXPECT_EQ(refused_read(path), Kind::denied) << path;
    EXPECT_EQ(refused_write(path), Kind::denied) << path;
  }
}

TEST_F(FilesTest, PipesSocketsAndDevicesAreRefusedWithoutBlocking) {
  ::mkfifo(inside("pipe").c_str(), 0600);
  const std::string open_it = "timeout 0.2 cat " + inside("pipe").string();
  EXPECT_EQ(WEXITSTATUS(std::system(open_it.c_str())), 124);  // whoever opens it waits for ever
  const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  inside("socket").string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(server, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(server);
  EXPECT_EQ(refused_read("socket"), Kind::not_regular);
  EXPECT_EQ(refused_write("socket"), Kind::not_regular);
  EXPECT_EQ(refused_read("pipe"), Kind::not_regular);
  EXPECT_EQ(refused_write("pipe"), Kind::not_regular);
  EXPECT_EQ(refused_read("/dev/zero"), Kind::not_regular);
  EXPECT_EQ(refused_read("/dev/tty"), Kind::not_regular);
  EXPECT_EQ(refused_read("."), Kind::is_folder);
  EXPECT_EQ(refused_write("."), Kind::is_folder);
}

TEST_F(FilesTest, ProtectedNamesAreRefusedPresentOrMissingAndHoweverSpelled) {
  put(inside(".git/config"), "[core]");
  for (const char* path :
       {".git/config", ".git/hooks/pre-commit", ".git", "sub/.git/hooks/x", ".GIT/config",
        ".git./config", ".g\u200cit/hooks/x", ".vscode/tasks.json", ".VSCODE/tasks.json", ".idea/x",
        ".mcp.json", ".corvid/settings.toml", "sub/.claude/settings.json", ".gitmodules",
        "GIT~1/config"}) {
    EXPECT_TRUE(harm_of_writing(path) || path == std::string(".git")) << path;
    fs::remove_all(policy_.workspace);
    put(inside(".git/config"), "[core]");
    EXPECT_EQ(refused_write(path), Kind::denied) << path;
  }
  EXPECT_EQ(contents(inside(".git/config")), "[core]");
  EXPECT_TRUE(created(".gitignore", "build"));
  EXPECT_TRUE(created(".github/workflows/ci.yml", "on: push"));
}

TEST_F(FilesTest, ALinkToAProtectedNameIsRefused) {
  put(inside(".git/config"), "[core]");
  fs::create_symlink(".git/config", inside("innocent"));
  fs::create_directory_symlink(".git", inside("folder"));
  EXPECT_TRUE(harm_of_writing("innocent"));
  EXPECT_EQ(contents(inside(".git/config")), "evil");
  put(inside(".git/config"), "[core]");
  EXPECT_EQ(refused_write("innocent"), Kind::denied);
  EXPECT_EQ(refused_write("folder/config"), Kind::denied);
  EXPECT_EQ(refused_write("folder/hooks/x"), Kind::denied);
  EXPECT_FALSE(fs::exists(inside(".git/hooks")));
}

TEST_F(FilesTest, ReadsOfHugeFilesAreBounded) {
  const int fd = ::open(inside("huge").c_str(), O_WRONLY | O_CREAT, 0600);
  ASSERT_EQ(::ftruncate(fd, off_t{10} << 30), 0);
  ::close(fd);
  // Whoever takes all of it needs 10 GiB.
  const std::string take_all = "(ulimit -v 1000000; exec python3 -c \"open('" +
                               inside("huge").string() + "').read()\") 2>/dev/null";
  EXPECT_NE(WEXITSTATUS(std::system(take_all.c_str())), 0);
  auto result = std::get<FileBytes>(files_.read("huge", 1000, 5));
  EXPECT_EQ(result.bytes.size(), 1000u);
  EXPECT_EQ(result.size, std::uint64_t{10} << 30);
  EXPECT_TRUE(result.truncated);
}

TEST_F(FilesTest, NamesOfAnyBytesWork) {
  for (const std::string& name : {std::string("new\nline"), std::string("esc\x1b[31m"),
                                  std::string("bad\xff\xfe"), std::string(250, 'n')}) {
    EXPECT_TRUE(created(name, "x"));
    EXPECT_EQ(read(name), "x");
  }
  EXPECT_EQ(std::get<std::vector<FolderEntry>>(files_.list(".", false, 100)).size(), 4u);
  EXPECT_EQ(refused_write(std::string(5000, 'n')), Kind::io);
}

TEST_F(FilesTest, ListsSortedDepthFirstWithoutFollowingLinks) {
  put(inside("b/x"), "12345");
  put(inside("a"), "1");
  fs::create_directory_symlink(".", inside("c"));
  auto entries = std::get<std::vector<FolderEntry>>(files_.list(".", true, 100));
  std::string text;
  for (const FolderEntry& entry : entries) {
    text += entry.path.string() + (entry.is_folder ? "/ " : " ");
  }
  EXPECT_EQ(text, "a b/ b/x c ");
  EXPECT_EQ(entries[2].size, 5u);
  EXPECT_EQ(std::get<std::vector<FolderEntry>>(files_.list(".", true, 2)).size(), 2u);
}

TEST_F(FilesTest, ListingADeepTreeEnds) {
  fs::path at = policy_.workspace;
  const int top = ::open(at.c_str(), O_PATH | O_DIRECTORY);
  int fd = top;
  for (int i = 0; i < 2000; ++i) {
    ::mkdirat(fd, "d", 0700);
    const int next = ::openat(fd, "d", O_PATH | O_DIRECTORY);
    if (fd != top) ::close(fd);
    fd = next;
  }
  ::close(fd);
  ::close(top);
  const auto entries = std::get<std::vector<FolderEntry>>(files_.list(".", true, 100'000));
  EXPECT_GT(entries.size(), 100u);
  EXPECT_LT(entries.size(), 1000u);
}

TEST_F(FilesTest, DoesNotListSecrets) {
  const auto entries = std::get<std::vector<FolderEntry>>(files_.list("..", true, 100));
  for (const FolderEntry& entry : entries) EXPECT_NE(entry.path.filename(), "key");
  EXPECT_TRUE(std::holds_alternative<FileError>(files_.list("../secret", false, 10)));
}

// A link that changes all the time must never let a read or a write land outside.
TEST_F(FilesTest, ALinkSwappedInBetweenNeverLeadsOutside) {
  put(outside("bad/outside"), "hush");
  put(inside("good/inside"), "fine");
  fs::create_directory_symlink(outside("bad"), inside("door"));
  EXPECT_EQ(harm_of_reading("door/outside"), "hush");
  fs::remove(inside("door"));
  fs::create_directory_symlink("good", inside("door"));
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    while (!stop) {
      fs::create_directory_symlink("good", inside("next"));
      fs::rename(inside("next"), inside("door"));
      fs::create_directory_symlink(outside("bad"), inside("next"));
      fs::rename(inside("next"), inside("door"));
    }
  });
  for (int i = 0; i < 100; ++i) files_.write("door/file", "x");
  for (int i = 0; i < 100'000; ++i) {
    const std::string text = read(i % 2 ? "door/inside" : "door/outside");
    EXPECT_TRUE(text == "fine" || text.starts_with("error: ")) << text;
  }
  stop = true;
  swapper.join();
  EXPECT_FALSE(fs::exists(outside("bad/file")));
  // Whether one of those met the good folder is chance; a link that stands still is followed.
  fs::create_directory_symlink("good", inside("next"));
  fs::rename(inside("next"), inside("door"));
  EXPECT_TRUE(std::holds_alternative<bool>(files_.write("door/file", "x")));
  EXPECT_EQ(read("door/inside"), "fine");
}

TEST_F(FilesTest, WithTheSandboxOffEverythingIsOpen) {
  policy_.mode = Policy::Mode::off;
  EXPECT_EQ(read(outside("secret/key")), "hush");
  EXPECT_TRUE(created(outside("new"), "x"));
  EXPECT_TRUE(created(".git/hooks/x", "x"));
}

}  // namespace
}  // namespace corvid::sandbox
