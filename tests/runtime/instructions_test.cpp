#include "runtime/instructions.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <fstream>

#include "tests/scratch_folder.h"

namespace corvid::runtime {
namespace {

namespace fs = std::filesystem;

void put(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

std::vector<fs::path> names(const ScratchFolder& folder, const std::vector<fs::path>& files) {
  std::vector<fs::path> names;
  for (const fs::path& file : files) names.push_back(file.lexically_relative(folder.path()));
  return names;
}

TEST(Instructions, ChainRunsFromTheUserOverTheRepositorysRootToTheFolder) {
  ScratchFolder folder;
  put(folder / "AGENTS.md", "outside");
  put(folder / "config/AGENTS.md", "user");
  put(folder / "repository/.git/HEAD", "");
  put(folder / "repository/AGENTS.md", "root");
  put(folder / "repository/a/AGENTS.md", "not this one");
  put(folder / "repository/a/AGENTS.override.md", "override");
  put(folder / "repository/a/b/c/AGENTS.md", "leaf");
  const auto chain = agents_chain(folder / "repository/a/b/c", folder / "config");
  EXPECT_EQ(names(folder, chain), (std::vector<fs::path>{"config/AGENTS.md", "repository/AGENTS.md",
                                                         "repository/a/AGENTS.override.md",
                                                         "repository/a/b/c/AGENTS.md"}));
  const std::string system =
      make_instructions(folder / "repository/a/b/c", folder / "config").system;
  EXPECT_LT(system.find("user"), system.find("root"));
  EXPECT_LT(system.find("override"), system.find("leaf"));
  EXPECT_EQ(system.find("outside"), std::string::npos);
}

TEST(Instructions, OutsideARepositoryOnlyTheFolderItselfCounts) {
  ScratchFolder folder;
  put(folder / "AGENTS.md", "above");
  put(folder / "here/AGENTS.md", "here");
  const auto chain = agents_chain(folder / "here", folder / "config");
  EXPECT_EQ(names(folder, chain), (std::vector<fs::path>{"here/AGENTS.md"}));
}

TEST(Instructions, AreCutAtTheLimitBetweenCharactersAndSaySo) {
  ScratchFolder folder;
  std::string text = "x";
  while (text.size() <= kAgentsLimitBytes) text += "\u00e9";
  put(folder / "here/AGENTS.md", text);
  const Instructions instructions = make_instructions(folder / "here", folder / "config");
  ASSERT_EQ(instructions.notices.size(), 1u);
  EXPECT_NE(instructions.notices[0].find("AGENTS.md was cut"), std::string::npos);
  EXPECT_TRUE(instructions.system.ends_with("\u00e9"));
  EXPECT_LT(instructions.system.size(), kAgentsLimitBytes + 3000);
}

TEST(Instructions, AreTheSameEveryTimeAndSmall) {
  ScratchFolder folder;
  const std::string system = make_instructions(folder.path(), folder / "config").system;
  EXPECT_EQ(system, make_instructions(folder.path(), folder / "config").system);
  EXPECT_LT(system.size(), 2000u);
}

TEST(Instructions, ALinkThatLeavesTheProjectIsNotFollowed) {
  ScratchFolder folder;
  put(folder / "secret", "key");
  put(folder / "here/NOTES.md", "notes");
  fs::create_symlink("../secret", folder / "here/AGENTS.md");
  EXPECT_TRUE(agents_chain(folder / "here", folder / "config").empty());
  fs::remove(folder / "here/AGENTS.md");
  fs::create_symlink("NOTES.md", folder / "here/AGENTS.md");
  EXPECT_EQ(agents_chain(folder / "here", folder / "config").size(), 1u);
}

TEST(Instructions, APipeNamedAgentsDoesNotHangTheStart) {
  ScratchFolder folder;
  fs::create_directories(folder / "here");
  ASSERT_EQ(mkfifo((folder / "here/AGENTS.md").c_str(), 0600), 0);
  EXPECT_TRUE(agents_chain(folder / "here", folder / "config").empty());
}

}  // namespace
}  // namespace corvid::runtime
