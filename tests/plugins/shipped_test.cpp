// The plugins that come with the program, doing real work.
#include "tests/plugins/plugin_bench.h"

namespace corvid::plugins {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ShippedTest : public PluginTest {
 protected:
  ShippedTest() {
    load(std::filesystem::path(CORVID_SOURCE_DIR) / "plugins");
    for (const PluginInfo& info : plugins_->infos()) EXPECT_EQ(info.problem, "") << info.name;
  }
  std::string say(const std::string& name, const ordered_json& arguments = ordered_json::object()) {
    return call(name, arguments).text;
  }
  void shell(const std::string& line) {
    const std::string whole = "cd '" + workspace_.path().string() + "' && " + line;
    ASSERT_EQ(std::system(whole.c_str()), 0);
  }
};

TEST_F(ShippedTest, TodoKeepsItsList) {
  EXPECT_EQ(say("todo"), "The list is empty.");
  EXPECT_EQ(say("todo", {{"add", {"one", "two"}}}), "1. [ ] one\n2. [ ] two");
  EXPECT_EQ(say("todo", {{"done", {1}}}), "1. [x] one\n2. [ ] two");
  EXPECT_EQ(say("todo", {{"done", {7}}}), "Error: there is no item 7\n1. [x] one\n2. [ ] two");
  EXPECT_EQ(say("todo", {{"clear", true}}), "1. [ ] two");
}

TEST_F(ShippedTest, TestsReturnsTheFailuresOnly) {
  EXPECT_THAT(say("run_tests"), HasSubstr("No tests were found"));
  std::string passing;
  for (int i = 0; i < 500; ++i) passing += "echo ok " + std::to_string(i) + "\n";
  workspace_.put("tests/run.sh", passing);
  EXPECT_EQ(say("run_tests"), "All passed: sh tests/run.sh");
  workspace_.put("tests/run.sh", passing + "echo FAIL sum: 3 is not 4\n" + passing + "exit 1\n");
  EXPECT_THAT(say("run_tests"),
              AllOf(StartsWith("Failed (exit 1): sh tests/run.sh\n"),
                    HasSubstr("FAIL sum: 3 is not 4"), Not(HasSubstr("ok 250\n"))));
  EXPECT_EQ(say("run_tests", {{"command", "true"}}), "All passed: true");
}

TEST_F(ShippedTest, TestsFindsPythonTests) {
  workspace_.put("calc/test_sum.py",
                 "import unittest\nclass T(unittest.TestCase):\n  def test_sum(self):\n"
                 "    self.assertEqual(1 + 1, 3)\n");
  EXPECT_THAT(say("run_tests"), AllOf(StartsWith("Failed (exit 1): python3 -m unittest"),
                                      HasSubstr("AssertionError: 2 != 3")));
}

TEST_F(ShippedTest, GitLooksAndCommits) {
  shell(
      "git init -q -b main . && git config user.name Ada && git config user.email a@b.c && "
      "echo one > a.txt && git add . && git commit -qm 'First'");
  workspace_.put("a.txt", "two\n");
  workspace_.put("odd name;.txt", "new\n");
  EXPECT_THAT(say("git_status"), AllOf(StartsWith("## main"), HasSubstr(" M a.txt")));
  EXPECT_THAT(say("git_diff"), HasSubstr("-one\n+two"));
  EXPECT_THAT(say("git_diff", {{"path", "odd name;.txt"}}), Not(HasSubstr("+two")));
  EXPECT_THAT(say("git_log"), HasSubstr("Ada: First"));
  EXPECT_THAT(say("git_commit", {{"message", "Second; $(touch x)"}, {"paths", {"odd name;.txt"}}}),
              AllOf(StartsWith("Committed "), HasSubstr(": Second; $(touch x)"),
                    Not(HasSubstr("a.txt | "))));
  EXPECT_THAT(say("git_commit", {{"message", "Third"}}), HasSubstr("a.txt | "));
  EXPECT_THAT(say("git_log", {{"count", 1}}), Not(HasSubstr("First")));
  EXPECT_FALSE(std::filesystem::exists(workspace_.path() / "x"));
}

}  // namespace
}  // namespace corvid::plugins
