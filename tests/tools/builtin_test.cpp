// The built-in tools as a model meets them: called through the toolbox, in a real workspace.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sandbox/files.h"
#include "tests/tools/workshop.h"
#include "tools/toolbox.h"

namespace corvid::tools {
namespace {

using nlohmann::ordered_json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class BuiltinTest : public testing::Test {
 protected:
  BuiltinTest() {
    for (auto& tool : builtin_tools()) toolbox_.add(std::move(tool));
  }

  std::string call(const std::string& name, const ordered_json& arguments) {
    return finish(io_, toolbox_.run({{"call 1", name, arguments.dump()}}, context_, {}))[0].text;
  }

  // What `read` gives of a file, page after page.
  std::string read_to_the_end(const std::string& path, int most_pages) {
    std::string joined;
    int offset = 1, pages = 0;
    while (offset > 0 && ++pages < most_pages) {
      const std::string page = call("read", {{"path", path}, {"offset", offset}});
      EXPECT_THAT(page, HasSubstr("\n[lines " + std::to_string(offset) + "-"));
      EXPECT_LE(page.size(), context_.result_budget_bytes);
      std::istringstream lines(page);
      for (std::string line; std::getline(lines, line);) {
        if (line[0] != '[') joined += line.substr(line.find('\t') + 1) + "\n";
      }
      const std::size_t at = page.find("go on with offset ");
      offset = at == page.npos ? 0 : std::stoi(page.substr(at + 18));
    }
    return joined;
  }

  ScratchFolder folder_, spill_;
  asio::io_context io_;
  asio::thread_pool pool_{2};
  sandbox::Policy policy_ = sandbox::default_policy(folder_.path());
  std::unique_ptr<sandbox::Sandbox> sandbox_ = sandbox::make_sandbox(policy_);
  sandbox::Files files_{policy_};
  ToolContext context_{*sandbox_, files_, pool_, spill_.path()};
  Toolbox toolbox_;
};

TEST_F(BuiltinTest, TheirSchemasAreSmall) {
  ordered_json all = ordered_json::array();
  for (const ToolSpec& spec : toolbox_.specs()) {
    all.push_back({{"name", spec.name},
                   {"description", spec.description},
                   {"parameters", ordered_json::parse(spec.parameters)}});
  }
  EXPECT_EQ(all.size(), 7u);
  std::printf("schemas of the built-in tools: %zu bytes\n", all.dump().size());
  EXPECT_LE(all.dump().size(), 3000u);
}

// --- shell ---------------------------------------------------------------------------------------

TEST_F(BuiltinTest, ShellGivesOutputAndExitCode) {
  EXPECT_EQ(call("shell", {{"command", "echo hi; echo there >&2; exit 3"}}), "hi\nthere\n[exit 3]");
  EXPECT_EQ(call("shell", {{"command", "printf x"}}), "x\n[exit 0]");
  EXPECT_EQ(call("shell", {{"command", "kill -9 $$"}}), "[killed by signal 9]");
}

TEST_F(BuiltinTest, ShellStartsInTheWorkspaceWithoutInput) {
  EXPECT_EQ(call("shell", {{"command", "pwd; cat"}}), folder_.path().string() + "\n[exit 0]");
}

TEST_F(BuiltinTest, ShellEndsACommandAtItsDeadline) {
  EXPECT_EQ(call("shell", {{"command", "echo early; sleep 60"}, {"timeout", 1}}),
            "early\n[timed out after 1 s, signal 15]");
  for (const int seconds : {0, -4}) {
    EXPECT_EQ(call("shell", {{"command", "echo ran"}, {"timeout", seconds}}),
              "Error: `timeout` is in seconds, 1 at least.");
  }
  EXPECT_THAT(call("shell", {{"command", "echo ran"}, {"timeout", 1e20}}),
              HasSubstr("- `timeout` must be of type integer"));
}

TEST_F(BuiltinTest, ShellSpillsWhatIsTooLongForReadToPage) {
  const std::string text = call("shell", {{"command", "seq 1 100000"}});
  EXPECT_LE(text.size(), context_.result_budget_bytes);
  EXPECT_THAT(text, StartsWith("1\n2\n"));
  EXPECT_THAT(text, EndsWith("99999\n100000\n[exit 0]"));
  const std::string marker = "all of it is in ";
  const std::size_t at = text.find(marker);
  ASSERT_NE(at, text.npos);
  const std::size_t start = at + marker.size();
  const std::string spill = text.substr(start, text.find(" ...]", start) - start);
  EXPECT_THAT(call("read", {{"path", spill}, {"offset", 50'000}, {"limit", 2}}),
              StartsWith("50000\t50000\n50001\t50001\n[lines 50000-50001 of 100000;"));
  const auto n_files = [&] {
    return std::distance(std::filesystem::directory_iterator(spill_.path()), {});
  };
  EXPECT_EQ(call("shell", {{"command", "echo short"}}), "short\n[exit 0]");
  EXPECT_EQ(n_files(), 1) << "a short output leaves no file";
  call("shell", {{"command", "seq 1 50000"}});
  EXPECT_EQ(n_files(), 2) << "the same call id again has another file";
  EXPECT_THAT(call("read", {{"path", spill}, {"offset", 100'000}}), StartsWith("100000\t100000\n"));
}

TEST_F(BuiltinTest, ShellStreamsItsOutputAsText) {
  std::string seen;
  Toolbox::Observer observer;
  observer.output = [&](const ToolCall&, std::string_view text) { seen += text; };
  const ordered_json arguments = {{"command", "printf 'caf\\303\\251 \\377'"}};
  finish(io_, toolbox_.run({{"1", "shell", arguments.dump()}}, context_, observer));
  EXPECT_EQ(seen, "caf\xC3\xA9 \\xff");
}

TEST_F(BuiltinTest, ShellSaysWhatAnInterruptedCommandHadPrintedAndHowItEnded) {
  const auto interrupted = [&](const std::string& command) {
    asio::cancellation_signal cancel;
    Toolbox::Observer observer;
    observer.output = [&](const ToolCall&, std::string_view) {
      asio::post(io_, [&] { cancel.emit(asio::cancellation_type::terminal); });
    };
    std::vector<ToolResult> results;
    const ordered_json arguments = {{"command", command}};
    asio::co_spawn(io_, toolbox_.run({{"1", "shell", arguments.dump()}}, context_, observer),
                   asio::bind_cancellation_slot(
                       cancel.slot(), [&](std::exception_ptr error, std::vector<ToolResult> all) {
                         EXPECT_FALSE(error);
                         results = std::move(all);
                       }));
    io_.restart();
    io_.run();
    return results.at(0).text;
  };
  EXPECT_EQ(interrupted("echo so far; sleep 1000"), "so far\n[interrupted, signal 15]");
  EXPECT_EQ(interrupted("trap 'exit 7' TERM; echo so far; while :; do :; done"),
            "so far\n[interrupted, exit 7]");
}

TEST_F(BuiltinTest, ShellGivesATerminalWhenAskedFor) {
  EXPECT_EQ(call("shell", {{"command", "test -t 0 && test -t 1 && echo yes"}, {"tty", true}}),
            "yes\n[exit 0]");
}

// --- write and edit ------------------------------------------------------------------------------

TEST_F(BuiltinTest, WriteCreatesAndReplaces) {
  EXPECT_EQ(call("write", {{"path", "a/b/c.txt"}, {"content", "hello"}}),
            "Created a/b/c.txt, 5 bytes.");
  EXPECT_EQ(call("write", {{"path", "a/b/c.txt"}, {"content", "bye\n"}}),
            "Replaced a/b/c.txt, 4 bytes.");
  EXPECT_EQ(folder_.get("a/b/c.txt"), "bye\n");
}

TEST_F(BuiltinTest, ANameDoesNotReachTheTerminalAsItIs) {
  const std::string name = "a\n\x1b[2Jb";
  EXPECT_EQ(call("write", {{"path", name}, {"content", "x"}}), "Created a\\x0a\\x1b[2Jb, 1 bytes.");
  EXPECT_EQ(call("edit", {{"path", name}, {"old", "x"}, {"new", "y"}}),
            "Edited a\\x0a\\x1b[2Jb at line 1.");
  EXPECT_EQ(call("read", {{"path", name}, {"offset", 3}}),
            "Error: a\\x0a\\x1b[2Jb has only 1 lines.");
}

TEST_F(BuiltinTest, WriteStaysInTheWorkspace) {
  const std::string outside = (spill_.path() / "x").string();
  for (const std::string& path : {outside, std::string("../x"), std::string("a/../../x")}) {
    EXPECT_THAT(
        call("write", {{"path", path}, {"content", "x"}}),
        StartsWith("Error: " + path + " is outside the workspace: the sandbox policy lets"));
  }
  EXPECT_FALSE(std::filesystem::exists(outside));
  EXPECT_FALSE(std::filesystem::exists(folder_.path().parent_path() / "x"));
}

TEST_F(BuiltinTest, EditReplacesTheOneOccurrence) {
  folder_.put("f.txt", "one\ntwo\nthree\n");
  EXPECT_EQ(call("edit", {{"path", "f.txt"}, {"old", "two"}, {"new", "2"}}),
            "Edited f.txt at line 2.");
  EXPECT_EQ(folder_.get("f.txt"), "one\n2\nthree\n");
}

TEST_F(BuiltinTest, EditSaysWhyItCannot) {
  folder_.put("f.txt", "alpha beta\ngamma\nalpha beta\n");
  EXPECT_EQ(call("edit", {{"path", "f.txt"}, {"old", "alpha"}, {"new", "x"}}),
            "Error: the text to replace occurs 2 times in f.txt; give more context.");
  EXPECT_EQ(call("edit", {{"path", "g.txt"}, {"old", "alpha"}, {"new", "x"}}),
            "Error: g.txt does not exist.");
  EXPECT_EQ(call("edit", {{"path", "f.txt"}, {"old", "gamme"}, {"new", "x"}}),
            "Error: the text to replace is not in f.txt.\nThe closest lines are:\n2\tgamma\n");
  EXPECT_THAT(call("edit", {{"path", "f.txt"}, {"old", ""}, {"new", "x"}}), HasSubstr("empty"));
  EXPECT_THAT(call("edit", {{"path", "f.txt"}, {"old", "x"}, {"new", "x"}}), HasSubstr("same"));
  EXPECT_THAT(call("edit", {{"path", "f.txt"}, {"new", "x"}}), HasSubstr("`old` is missing"));
  EXPECT_EQ(folder_.get("f.txt"), "alpha beta\ngamma\nalpha beta\n");
}

TEST_F(BuiltinTest, EditSaysWhenOnlyWhitespaceDiffered) {
  folder_.put("f.py", "class A:\n    def f(self):\n        return 1\n");
  const std::string text = call("edit", {{"path", "f.py"},
                                         {"old", "def f(self):\n    return 1"},
                                         {"new", "def f(self):\n    return 2"}});
  EXPECT_THAT(text, StartsWith("Edited f.py at line 2.\nNote: only whitespace differed"));
  EXPECT_EQ(folder_.get("f.py"), "class A:\n    def f(self):\n        return 2\n");
}

TEST_F(BuiltinTest, EditKeepsTheModeOfTheFile) {
  folder_.put("run.sh", "echo 1\n");
  std::filesystem::permissions(folder_.path() / "run.sh", std::filesystem::perms::owner_all);
  call("edit", {{"path", "run.sh"}, {"old", "1"}, {"new", "2"}});
  EXPECT_EQ(std::filesystem::status(folder_.path() / "run.sh").permissions(),
            std::filesystem::perms::owner_all);
}

TEST_F(BuiltinTest, EditByLinesNeedsTheTagOfWhatStandsThere) {
  folder_.put("f.txt", "a\nb\nc\nd\n");
  const std::string shown = call("read", {{"path", "f.txt"}, {"offset", 2}, {"limit", 2}});
  const std::size_t at = shown.find("tag ") + 4;
  const std::string tag = shown.substr(at, shown.find_first_of(";]", at) - at);
  EXPECT_THAT(tag, StartsWith("2-3:"));
  EXPECT_THAT(call("edit", {{"path", "f.txt"}, {"lines", "4"}, {"tag", tag}, {"new", "D"}}),
              HasSubstr("read the lines"));
  EXPECT_EQ(call("edit", {{"path", "f.txt"}, {"lines", "3"}, {"tag", tag}, {"new", "C\nCC"}}),
            "Edited f.txt at line 3.");
  EXPECT_EQ(folder_.get("f.txt"), "a\nb\nC\nCC\nd\n");
  EXPECT_THAT(call("edit", {{"path", "f.txt"}, {"lines", "3"}, {"tag", tag}, {"new", "x"}}),
              HasSubstr("has changed in these lines"));
  EXPECT_EQ(folder_.get("f.txt"), "a\nb\nC\nCC\nd\n");
}

// --- read ----------------------------------------------------------------------------------------

TEST_F(BuiltinTest, ReadNumbersTheLines) {
  folder_.put("f.txt", "one\ntwo\nthree");
  EXPECT_THAT(call("read", {{"path", "f.txt"}}),
              StartsWith("1\tone\n2\ttwo\n3\tthree\n[lines 1-3 of 3; tag 1-3:"));
  EXPECT_THAT(call("read", {{"path", "f.txt"}, {"offset", 2}, {"limit", 1}}),
              testing::AllOf(StartsWith("2\ttwo\n[lines 2-2 of 3; tag 2-2:"),
                             EndsWith("; go on with offset 3]")));
  EXPECT_EQ(call("read", {{"path", "f.txt"}, {"offset", 9}}), "Error: f.txt has only 3 lines.");
  EXPECT_THAT(call("read", {{"path", "none"}}), StartsWith("Error: "));
  folder_.put("empty", "");
  EXPECT_EQ(call("read", {{"path", "empty"}}), "[empty is empty]");
}

TEST_F(BuiltinTest, ReadPagesALongFileToItsEnd) {
  std::string file;
  for (int i = 1; i <= 20'000; ++i) file += "line " + std::to_string(i) + "\n";
  folder_.put("long.txt", file);
  EXPECT_EQ(read_to_the_end("long.txt", 100), file);
}

TEST_F(BuiltinTest, ReadBoundsHugeBinaryAndSparseFiles) {
  folder_.put("binary", std::string("ELF\0\1\2", 6));
  EXPECT_THAT(call("read", {{"path", "binary"}}), StartsWith("Error: binary is binary (6 bytes)"));
  folder_.put("wide", std::string(3 << 20, 'x'));
  const std::string wide = call("read", {{"path", "wide"}});
  EXPECT_LT(wide.size(), 4000u);
  EXPECT_THAT(wide,
              EndsWith("x\n[lines 1-1 of 1; only the start of this line, which is longer than "
                       "1048576 bytes: shell has cut -c and tail -c]"));
  folder_.put("long", std::string(5000, 'y'));
  EXPECT_THAT(call("read", {{"path", "long"}}), HasSubstr("y [... 3000 bytes more in this line]"));
  folder_.put("sparse", "start\n");
  std::filesystem::resize_file(folder_.path() / "sparse", std::uintmax_t{10} << 30);
  EXPECT_THAT(call("read", {{"path", "sparse"}}), HasSubstr("binary"));
  std::string late;
  for (int i = 0; i < 2'000'000; ++i) late += "0123456789012345678901234567890123456789\n";
  folder_.put("large", late);
  EXPECT_THAT(call("read", {{"path", "large"}, {"limit", 1}}),
              HasSubstr("[lines 1-1 of a file of 82000000 bytes;"));
  EXPECT_THAT(call("read", {{"path", "large"}, {"offset", 1'999'999}}),
              HasSubstr("[lines 1999999-2000000 of 2000000;"));
}

TEST_F(BuiltinTest, ReadListsAFolderWithOddNamesEscaped) {
  folder_.put("sub/a.txt", "x");
  folder_.put("sub/b\n\x1B[31m\xFF", "x");
  folder_.put("sub/deep/c", "x");
  EXPECT_EQ(call("read", {{"path", "sub"}}),
            "a.txt\nb\\x0a\\x1b[31m\\xff\ndeep/\n[folder; 3 entries]");
}

TEST_F(BuiltinTest, ANameIsUsableAsItIsListed) {
  const std::string listed = "sub/b\\x0a\\x1b[31m\\xff";
  folder_.put("sub/b\n\x1B[31m\xFF", "one\n");
  EXPECT_THAT(call("read", {{"path", listed}}), StartsWith("1\tone\n[lines 1-1 of 1;"));
  EXPECT_EQ(call("edit", {{"path", listed}, {"old", "one"}, {"new", "two"}}),
            "Edited " + listed + " at line 1.");
  EXPECT_EQ(folder_.get("sub/b\n\x1B[31m\xFF"), "two\n");
  EXPECT_THAT(call("read", {{"path", listed}, {"offset", 7}}),
              StartsWith("Error: " + listed + " has only 1 lines."));
  folder_.put(listed, "literally so\n");  // the name itself comes first
  EXPECT_THAT(call("read", {{"path", listed}}), StartsWith("1\tliterally so\n"));
  EXPECT_EQ(call("read", {{"path", "sub/c\\xff"}}), "Error: sub/c\\xff does not exist.");
  EXPECT_EQ(call("edit", {{"path", "sub/c\\x00d"}, {"old", "a"}, {"new", "b"}}),
            "Error: sub/c\\x00d does not exist.");
}

TEST_F(BuiltinTest, AFolderIsSearchedByTheNameThatIsListed) {
  folder_.put("odd\xFF/inner\n.txt", "needle\n");
  EXPECT_EQ(call("search", {{"pattern", "needle"}, {"path", "odd\\xff"}}),
            "odd\\xff/inner\\x0a.txt:1:needle\n[1 match in 1 file looked at.]");
  EXPECT_EQ(call("find", {{"glob", "*.txt"}, {"path", "odd\\xff"}}),
            "odd\\xff/inner\\x0a.txt\n[1 file.]");
}

TEST_F(BuiltinTest, WriteReplacesAFileByTheNameThatIsListed) {
  folder_.put("b\xFF", "one\n");
  EXPECT_EQ(call("write", {{"path", "b\\xff"}, {"content", "two\n"}}), "Replaced b\\xff, 4 bytes.");
  EXPECT_EQ(folder_.get("b\xFF"), "two\n");
  EXPECT_EQ(call("write", {{"path", "c\\xff"}, {"content", "new\n"}}), "Created c\\xff, 4 bytes.");
  EXPECT_EQ(folder_.get("c\\xff"), "new\n");  // nothing was listed so
}

TEST_F(BuiltinTest, APathWithEscapesObeysThePolicy) {
  const ScratchFolder secrets;
  secrets.put("key\n", "hush");
  sandbox::Policy strict = policy_;
  strict.secrets.push_back(secrets.path());
  const sandbox::Files files(strict);
  ToolContext context{*sandbox_, files, pool_, spill_.path()};
  const std::string path = secrets.path().string() + "/key\\x0a";
  const ordered_json arguments = {{"path", path}};
  const std::vector<ToolCall> calls = {{"1", "read", arguments.dump()}};
  EXPECT_EQ(finish(io_, toolbox_.run(calls, context, {}))[0].text,
            "Error: " + path + " is hidden by the sandbox policy.");
  EXPECT_THAT(call("edit", {{"path", path}, {"old", "hush"}, {"new", "x"}}),
              HasSubstr("outside the workspace"));
  EXPECT_EQ(secrets.get("key\n"), "hush");
}

TEST_F(BuiltinTest, ReadPagesAnOutputThatIsNoText) {
  context_.result_budget_bytes = 4000;
  const std::string made = call(
      "shell", {{"command", "for i in $(seq 1 3000); do printf '%d \\0\\0\\377\\n' $i; done"}});
  const std::string marker = "all of it is in ";
  const std::size_t start = made.find(marker) + marker.size();
  const std::string spill = made.substr(start, made.find(" ...]", start) - start);
  std::string wanted;
  for (int i = 1; i <= 3000; ++i) wanted += std::to_string(i) + " \\x00\\x00\\xff\n";
  EXPECT_EQ(read_to_the_end(spill, 1000), wanted);
}

// --- search --------------------------------------------------------------------------------------

TEST_F(BuiltinTest, SearchFindsLinesAndHonoursGitignore) {
  folder_.put(".gitignore", "ignored/\n*.log\n");
  folder_.put("src/a.cpp", "int main() {\n  return TODO;\n}\n");
  folder_.put("src/b.py", "# todo: b\n");
  folder_.put("ignored/c.cpp", "TODO\n");
  folder_.put("d.log", "TODO\n");
  folder_.put(".git/config", "TODO\n");
  folder_.put("binary", std::string("TODO\0", 5));
  EXPECT_EQ(call("search", {{"pattern", "TODO"}}),
            "src/a.cpp:2:  return TODO;\n[1 match in 4 files looked at.]");
  EXPECT_EQ(call("search", {{"pattern", "(?i)todo"}, {"glob", "*.{py,sh}"}}),
            "src/b.py:1:# todo: b\n[1 match in 1 file looked at.]");
  EXPECT_EQ(call("search", {{"pattern", "TODO"}, {"path", "src/a.cpp"}}),
            "src/a.cpp:2:  return TODO;\n[1 match in 1 file looked at.]");
  EXPECT_EQ(call("search", {{"pattern", "nothing here"}}), "[0 matches in 4 files looked at.]");
  EXPECT_THAT(call("search", {{"pattern", "a("}}), StartsWith("Error: bad regular expression"));
  EXPECT_THAT(call("search", {{"pattern", "a"}, {"path", "none"}}), StartsWith("Error: "));
}

TEST_F(BuiltinTest, SearchIsBounded) {
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "needle " + std::string(500, 'x') + "\n";
  folder_.put("many", many);
  const std::string text = call("search", {{"pattern", "needle"}});
  EXPECT_LE(text.size(), context_.result_budget_bytes);
  EXPECT_THAT(text, HasSubstr("There may be more: narrow the search.]"));
  folder_.put("hostile", std::string(5000, 'a') + "!\n");
  EXPECT_THAT(call("search", {{"pattern", "^(a+)+$"}, {"path", "hostile"}}),
              HasSubstr("took too long"));
}

TEST_F(BuiltinTest, SearchEscapesOddNamesAndSurvivesLinkCycles) {
  folder_.put("odd\nname", "needle\n");
  std::filesystem::create_directory_symlink("..", folder_.path() / "up");
  std::filesystem::create_symlink("/etc/passwd", folder_.path() / "leak");
  EXPECT_EQ(call("search", {{"pattern", "needle"}, {"glob", "odd*"}}),
            "odd\\x0aname:1:needle\n[1 match in 1 file looked at.]");
}

// --- find ----------------------------------------------------------------------------------------

TEST_F(BuiltinTest, FindListsFilesThatFitAGlob) {
  folder_.put(".gitignore", "ignored/\n*.log\n");
  folder_.put("src/b.cpp", "");
  folder_.put("src/a.cpp", "");
  folder_.put("src/deep/c.cpp", "");
  folder_.put("ignored/d.cpp", "");
  folder_.put("e.log", "");
  folder_.put(".git/f.cpp", "");
  EXPECT_EQ(call("find", {{"glob", "*.cpp"}}), "src/a.cpp\nsrc/b.cpp\nsrc/deep/c.cpp\n[3 files.]");
  EXPECT_EQ(call("find", {{"glob", "src/*.{cpp,h}"}}), "src/a.cpp\nsrc/b.cpp\n[2 files.]");
  EXPECT_EQ(call("find", {{"glob", "deep/*"}, {"path", "src"}}), "src/deep/c.cpp\n[1 file.]");
  const std::string top = folder_.path().string();
  EXPECT_EQ(call("find", {{"glob", top + "/src/*.cpp"}}),
            top + "/src/a.cpp\n" + top + "/src/b.cpp\n[2 files.]");
  EXPECT_EQ(call("find", {{"glob", "*.log"}}),
            "[no file fits *.log; 4 files looked at, 2 names left out by .gitignore.]");
  EXPECT_THAT(call("find", {{"glob", "*"}, {"path", "none"}}), StartsWith("Error: "));
  EXPECT_THAT(call("find", ordered_json::object()), HasSubstr("`glob`"));
}

TEST_F(BuiltinTest, FindHonoursTheRulesAboveItsFolder) {
  folder_.put(".gitignore", "*.o\n/src/made.cpp\nsrc/deep/*.h\n");
  folder_.put("src/.gitignore", "/kept.txt\n");
  for (const char* name : {"a.cpp", "a.o", "made.cpp", "kept.txt", "deep/b.h", "deep/made.cpp"}) {
    folder_.put(std::string("src/") + name, "");
  }
  EXPECT_EQ(call("find", {{"glob", "*"}, {"path", "src"}}),
            "src/.gitignore\nsrc/a.cpp\nsrc/deep/made.cpp\n[3 files.]");
  folder_.put(".git/HEAD", "");  // whose rules count for absolute paths
  const std::string deep = folder_.path().string() + "/src/deep/";
  EXPECT_EQ(call("find", {{"glob", "*"}, {"path", deep}}), deep + "made.cpp\n[1 file.]");
}

// `find` in a workspace below the folder of the fixture.
TEST_F(BuiltinTest, FindHonoursTheRulesAboveTheWorkspace) {
  for (const char* name : {"a.cpp", "a.o", "made.cpp", "secret.cpp", "deep/b.o", "deep/b.cpp"}) {
    folder_.put(std::string("work/src/") + name, "");
  }
  const auto found = [&](const char* workspace, const ordered_json& arguments) {
    const sandbox::Policy policy = sandbox::default_policy(folder_.path() / workspace);
    const sandbox::Files files(policy);
    ToolContext context{*sandbox_, files, pool_, spill_.path()};
    const std::vector<ToolCall> calls = {{"1", "find", arguments.dump()}};
    return finish(io_, toolbox_.run(calls, context, {}))[0].text;
  };
  folder_.put("work/.gitignore", "*.o\n/src/made.cpp\n");
  EXPECT_THAT(found("work/src", {{"glob", "*"}}), HasSubstr("made.cpp\n")) << "no repository";
  folder_.put("work/.git/HEAD", "");
  folder_.put("work/.git/info/exclude", "secret.*\n");
  const std::string in_src = "a.cpp\ndeep/b.cpp\n[2 files.]";
  EXPECT_EQ(found("work/src", {{"glob", "*"}}), in_src);
  EXPECT_EQ(found("work/src", {{"glob", "*"}, {"path", "deep"}}), "deep/b.cpp\n[1 file.]");
  EXPECT_EQ(found("work", {{"glob", "src/*"}}), "src/a.cpp\n[1 file.]");

  // Another work tree of that repository.
  folder_.put("tree/.git", "gitdir: ../work/.git/worktrees/tree\n");
  folder_.put("work/.git/worktrees/tree/commondir", "../..\n");
  folder_.put("tree/secret.cpp", "");
  folder_.put("tree/a.cpp", "");
  EXPECT_EQ(found("tree", {{"glob", "*.cpp"}}), "a.cpp\n[1 file.]");

  // A home folder under version control, of which nothing is taken that is not added by hand.
  folder_.put(".git/HEAD", "");
  folder_.put(".gitignore", "*\n");
  EXPECT_EQ(found("work/src", {{"glob", "*"}}), in_src) << "the nearest repository counts";
  std::filesystem::remove_all(folder_.path() / "work/.git");
  EXPECT_EQ(found("work", {{"glob", "src/*.cpp"}}), "src/a.cpp\nsrc/secret.cpp\n[2 files.]")
      << "its own rules count";
  EXPECT_EQ(found("work", {{"glob", "*.cpp"}, {"path", "src/deep"}}), "src/deep/b.cpp\n[1 file.]");
}

TEST_F(BuiltinTest, FindIsBoundedAndObeysThePolicy) {
  for (int i = 0; i < 1100; ++i) folder_.put("many/" + std::to_string(i), "");
  const std::string text = call("find", {{"glob", "many/*"}});
  EXPECT_LE(text.size(), context_.result_budget_bytes);
  EXPECT_THAT(text, HasSubstr("\n[1000 files"));
  EXPECT_THAT(text, HasSubstr("There may be more: narrow the search.]"));
  ScratchFolder secrets;
  secrets.put("key", "x");
  sandbox::Policy strict = policy_;
  strict.secrets.push_back(secrets.path());
  const sandbox::Files files(strict);
  ToolContext context{*sandbox_, files, pool_, spill_.path()};
  const ordered_json arguments = {{"glob", secrets.path().string() + "/*"}};
  const std::vector<ToolCall> calls = {{"1", "find", arguments.dump()}};
  EXPECT_THAT(finish(io_, toolbox_.run(calls, context, {}))[0].text, Not(HasSubstr("/key")));
}

// --- lua -----------------------------------------------------------------------------------------

TEST_F(BuiltinTest, LuaWorksOnFiles) {
  folder_.put("a.csv", "x,1\ny,2\n");
  const std::string script = R"lua(
    local sum = 0
    for n in read("a.csv"):gmatch(",(%d+)") do sum = sum + tonumber(n) end
    write("out/sum.txt", tostring(sum))
    print("sum", sum)
    for _, hit in ipairs(search{pattern = "y", glob = "*.csv"}) do print(hit.path, hit.line) end
    for _, path in ipairs(find("*.txt", "out")) do print(path) end
    for _, entry in ipairs(list(".")) do print(entry.name, entry.is_folder) end
    return {sum = sum}, "text"
  )lua";
  EXPECT_EQ(call("lua", {{"script", script}}),
            "sum\t3\na.csv\t2\nout/sum.txt\na.csv\tfalse\nout\ttrue\n{\"sum\":3}\ntext\n");
  EXPECT_EQ(folder_.get("out/sum.txt"), "3");
}

TEST_F(BuiltinTest, LuaErrorsComeAfterWhatWasPrinted) {
  EXPECT_EQ(call("lua", {{"script", "print('a')\nread('none')"}}).substr(0, 9), "a\nError: ");
  EXPECT_THAT(call("lua", {{"script", "write('../x', '')"}}), StartsWith("Error: "));
  EXPECT_THAT(call("lua", {{"script", "search{patern = 'x'}"}}), HasSubstr("`patern`"));
  EXPECT_EQ(call("lua", {{"script", "print('\\255')"}}), "\\xff\n");
  EXPECT_EQ(call("lua", {{"script", ""}}), "[the script printed and returned nothing]");
}

TEST_F(BuiltinTest, LuaIsStoppedByAnInterrupt) {
  asio::cancellation_signal signal;
  std::string text;
  const ordered_json arguments = {{"script", "while true do end"}};
  asio::co_spawn(io_, toolbox_.run({{"1", "lua", arguments.dump()}}, context_, {}),
                 asio::bind_cancellation_slot(
                     signal.slot(), [&](std::exception_ptr, std::vector<ToolResult> results) {
                       text = results.at(0).text;
                     }));
  asio::steady_timer timer(io_, std::chrono::milliseconds(100));
  timer.async_wait([&](auto) { signal.emit(asio::cancellation_type::terminal); });
  io_.run();
  EXPECT_THAT(text, HasSubstr("interrupted"));
}

}  // namespace
}  // namespace corvid::tools
