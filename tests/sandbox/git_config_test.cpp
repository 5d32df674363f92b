// What counts as a configuration that makes git do nothing, and how git's syntax is read.
#include "sandbox/git_config.h"

#include <gtest/gtest.h>

namespace corvid::sandbox {
namespace {

TEST(GitConfig, WhatGitItselfWritesIsPlain) {
  EXPECT_TRUE(is_plain_git_config(""));
  EXPECT_TRUE(
      is_plain_git_config("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n"
                          "\tbare = false\n\tlogallrefupdates = true\n"
                          "[remote \"origin\"]\n\turl = https://host/a.git # mine\n"
                          "\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
                          "[branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n"
                          "; the end\n[user]\n\tname = \"A \\\"B\\\" C\"\n"));
}

TEST(GitConfig, NoSpellingOfASettingThatRunsSomethingIsPlain) {
  for (const char* text :
       {"[core]\nfsmonitor = evil\n", "[core] fsmonitor = evil #]\n", "[core]fsmonitor=evil",
        "[CORE]\n\tFSMonitor = evil\n", "[core]\n\vfsmonitor = evil\n",
        "\xEF\xBB\xBF[core]fsmonitor=e", "[core]\nbare = false\\\n\nfsmonitor = evil\n",
        "[core]\r\nfsmonitor = evil\r\n", "[core]\nbare = \"false\n\"\n",
        "[include]\npath = ../evil\n", "[includeIf \"x\"]\npath = a\n", "[core]\nhooksPath = x\n",
        "[core.x]\nfsmonitor = evil\n", "[filter \"x\"]\nclean = evil\n", "[core]\nworktree = /\n",
        "[alias]\nst = !evil\n", "[remote \"o\"]\nuploadpack = evil\n"}) {
    EXPECT_FALSE(is_plain_git_config(text)) << text;
  }
}

TEST(GitConfig, WhatCannotBeReadForSureIsNotPlain) {
  for (const std::string& text :
       {std::string("[core\nbare = false\n"), std::string("bare = false\n"),
        std::string("[core]\nbare = \"false\n"), std::string("[core]\nbare = \\x\n"),
        std::string("[core] bare false\n"), std::string("[remote \"a]\nurl = b\n"),
        std::string("[core]\nbare = false\0\n[core]\nfsmonitor = evil\n", 45)}) {
    EXPECT_FALSE(is_plain_git_config(text)) << text;
  }
}

TEST(GitConfig, SettingsAreReadAsGitReadsThem) {
  const auto settings = git_settings(
      "[core]\n\thooksPath = \" a b\" c ; comment\n[Include \"x\"] PATH = one\\\n "
      "two\n[a]\nflag\n");
  ASSERT_TRUE(settings);
  ASSERT_EQ(settings->size(), 3U);
  EXPECT_EQ((*settings)[0].name, "core.hookspath");
  EXPECT_EQ((*settings)[0].value, " a b c");
  EXPECT_EQ((*settings)[1].name, "include.path");
  EXPECT_EQ((*settings)[1].value, "one two");
  EXPECT_EQ((*settings)[2].name, "a.flag");
}

}  // namespace
}  // namespace corvid::sandbox
