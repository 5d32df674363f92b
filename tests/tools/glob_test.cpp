#include "tools/glob.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "tests/tools/workshop.h"

namespace corvid::tools {
namespace {

TEST(Glob, StarsStayInsideANameAndDoubleStarsCrossFolders) {
  EXPECT_TRUE(glob_matches("*.cpp", "a.cpp"));
  EXPECT_FALSE(glob_matches("*.cpp", "src/a.cpp"));
  EXPECT_TRUE(glob_matches("src/*.cpp", "src/a.cpp"));
  EXPECT_TRUE(glob_matches("**/*.cpp", "a.cpp"));
  EXPECT_TRUE(glob_matches("**/*.cpp", "x/y/a.cpp"));
  EXPECT_TRUE(glob_matches("a/**/b", "a/b"));
  EXPECT_TRUE(glob_matches("a/**/b", "a/x/y/b"));
  EXPECT_FALSE(glob_matches("a/**/b", "a/xb"));
  EXPECT_TRUE(glob_matches("a/**", "a/x/y"));
  EXPECT_TRUE(glob_matches("?.[ch]", "x.h"));
  EXPECT_FALSE(glob_matches("[!a-c]x", "bx"));
  EXPECT_FALSE(glob_matches("a?b", "a/b"));
  EXPECT_TRUE(glob_matches("\\*", "*"));
  EXPECT_FALSE(glob_matches("\\*", "x"));
  EXPECT_TRUE(glob_matches("[x", "[x"));
}

TEST(Glob, APatternWithoutASlashIsForTheNameInAnyFolder) {
  EXPECT_TRUE(path_fits("*.cpp", "src/deep/a.cpp"));
  EXPECT_TRUE(path_fits("./src/*.cpp", "src/a.cpp"));
  EXPECT_TRUE(path_fits("./*.cpp", "a.cpp"));
  EXPECT_FALSE(path_fits("./*.cpp", "src/a.cpp"));
  EXPECT_TRUE(path_fits("*.{h,cpp}", "src/a.h"));
  EXPECT_TRUE(path_fits("{a,b}.{x,y}", "b.x"));
  EXPECT_FALSE(path_fits("*.{h,cpp}", "src/a.py"));
}

TEST(Glob, AHostilePatternCostsNoMoreThanPatternTimesPath) {
  std::string bomb;
  for (int i = 0; i < 300; ++i) bomb += "*a";
  EXPECT_FALSE(glob_matches(bomb + "b", std::string(4000, 'a')));
  std::string braces;
  for (int i = 0; i < 40; ++i) braces += "{a,b}";
  EXPECT_FALSE(path_fits(braces, "x"));
}

// Git itself says what its rules mean.
TEST(IgnoreRules, IgnoreWhatGitIgnores) {
  const ScratchFolder folder;
  folder.put(".gitignore",
             "# a comment\n*.log\n!keep.log\n/top\nbuild/\ndocs/*.txt\n**/tmp\nfoo/**\n"
             "trailing  \n\\!bang\n\\#hash\na[0-9]b\nx?z\nsub/**/deep\n");
  folder.put("inner/.gitignore", "!*.log\nlocal\n/anchored\n");
  const std::vector<std::string> files = {"a.log",
                                          "keep.log",
                                          "top",
                                          "inner/top",
                                          "build/x",
                                          "inner/build/x",
                                          "build2/build",
                                          "docs/a.txt",
                                          "docs/deep/a.txt",
                                          "tmp",
                                          "inner/tmp",
                                          "foo/a",
                                          "foo/b/c",
                                          "trailing",
                                          "!bang",
                                          "#hash",
                                          "a5b",
                                          "axb",
                                          "xyz",
                                          "x/z",
                                          "sub/deep",
                                          "sub/a/b/deep",
                                          "inner/a.log",
                                          "inner/local",
                                          "inner/anchored",
                                          "inner/more/anchored",
                                          "inner/more/local",
                                          "plain"};
  std::set<std::string> folders;
  for (const std::string& file : files) {
    try {
      folder.put(file, "x");
    } catch (const std::filesystem::filesystem_error&) {
      FAIL() << file;
    }
  }
  const std::string git = "cd '" + folder.path().string() + "' && git init -q . 2>/dev/null && ";
  ASSERT_EQ(std::system((git + "git ls-files -oc --exclude-standard > ../kept-$$ ; "
                               "mv ../kept-$$ .git/kept")
                            .c_str()),
            0);
  std::set<std::string> kept_by_git;
  std::istringstream lines(folder.get(".git/kept"));
  for (std::string line; std::getline(lines, line);) kept_by_git.insert(line);

  IgnoreRules rules;
  rules.add(folder.get(".gitignore"), "");
  rules.add(folder.get("inner/.gitignore"), "inner");
  for (const std::string& file : files) {
    bool ignored = false;
    for (std::size_t at = file.find('/'); at != file.npos; at = file.find('/', at + 1)) {
      ignored = ignored || rules.ignores(file.substr(0, at), true);
    }
    ignored = ignored || rules.ignores(file, false);
    EXPECT_EQ(ignored, !kept_by_git.contains(file)) << file;
  }
}

}  // namespace
}  // namespace corvid::tools
