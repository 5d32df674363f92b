// The profile for macOS, read as text: which rule comes last for a path.
#include "sandbox/seatbelt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <sstream>

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Seatbelt : public testing::Test {
 protected:
  Seatbelt() {
    policy_.workspace = "/Users/ada/work";
    policy_.secrets = {"/Users/ada/.ssh", "/Users/ada/work/.keys"};
    policy_.readable = {"/Users/ada/.cache/corvid/outputs"};
  }
  std::string profile() const { return seatbelt_profile(policy_, "/private/tmp/own", 3128); }

  // What the last rule that matches says: sandbox-exec goes by that one.
  bool allows(const std::string& operation, const std::string& path) const {
    bool allowed = false;
    std::istringstream lines(profile());
    for (std::string line; std::getline(lines, line);) {
      std::smatch match;
      if (!std::regex_match(line, match, std::regex(R"(\((allow|deny) (.*))"))) continue;
      const std::string rest = match[2];
      const bool concerns = rest.starts_with("default") || names(rest, operation);
      if (concerns && matches(rest, path)) allowed = match[1] == "allow";
    }
    return allowed;
  }

  Policy policy_;

 private:
  static bool names(const std::string& rest, const std::string& operation) {
    std::istringstream words(rest.substr(0, rest.find('(')));
    for (std::string word; words >> word;) {
      while (!word.empty() && word.back() == ')') word.pop_back();
      if (word == operation) return true;
      if (word.ends_with('*') && operation.starts_with(word.substr(0, word.size() - 1)))
        return true;
    }
    return false;
  }
  static bool matches(const std::string& rest, const std::string& path) {
    const std::size_t start = rest.find('"'), end = rest.rfind('"');
    if (start == rest.npos) return true;  // of every path
    const std::string text = rest.substr(start + 1, end - start - 1);
    if (rest.find("(regex ") != rest.npos) return std::regex_search(path, std::regex(text));
    return rest.find("(literal ") != rest.npos ? path == text : is_beneath(path, text);
  }
};

TEST_F(Seatbelt, DeniesWhatItDoesNotName) {
  EXPECT_THAT(profile(), StartsWith("(version 1)\n(deny default)\n"));
  EXPECT_FALSE(allows("file-write-create", "/Users/ada/other"));
  EXPECT_FALSE(allows("file-write-create", "/etc/hosts"));
  EXPECT_FALSE(allows("iokit-open", "/dev/gpu"));
}

TEST_F(Seatbelt, ReadsAnywhereButSecrets) {
  EXPECT_TRUE(allows("file-read-data", "/usr/lib/libSystem.dylib"));
  EXPECT_FALSE(allows("file-read-data", "/Users/ada/.ssh/id_ed25519"));
  EXPECT_FALSE(allows("file-read-data", "/Users/ada/work/.keys/a")) << "in the workspace, too";
  policy_.secrets.push_back("/Users/ada/.cache");
  EXPECT_TRUE(allows("file-read-data", "/Users/ada/.cache/corvid/outputs/1"));
}

TEST_F(Seatbelt, WritesInTheWorkspaceAndInATmpOfItsOwn) {
  policy_.writable = {"/Users/ada/cache"};
  for (const char* path : {"/Users/ada/work/a", "/Users/ada/cache/b", "/private/tmp/own/c"}) {
    EXPECT_TRUE(allows("file-write-create", path)) << path;
  }
  EXPECT_FALSE(allows("file-write-create", "/private/tmp/other"));
  EXPECT_FALSE(allows("file-write-unlink", "/Users/ada/work")) << "the folder itself stays";
}

TEST_F(Seatbelt, KeepsWhatProgramsObeyHoweverItIsSpelled) {
  for (const char* path : {"/Users/ada/work/.git", "/Users/ada/work/.GIT/hooks/pre-commit",
                           "/Users/ada/work/.mcp.json", "/Users/ada/work/.VSCode/tasks.json"}) {
    EXPECT_FALSE(allows("file-write-create", path)) << path;
    EXPECT_FALSE(allows("file-write-data", path)) << path;
  }
  EXPECT_TRUE(allows("file-write-data", "/Users/ada/work/a.mcp.jsonx"));
  EXPECT_TRUE(allows("file-write-data", "/Users/ada/work/xmcp/json"));
}

TEST_F(Seatbelt, NothingAboveAProtectedPathCanBeRenamedAway) {
  policy_.frozen = {"/Users/ada/work/deep/er/config"};
  for (const char* path :
       {"/Users/ada/work/deep", "/Users/ada/work/deep/er", "/Users/ada/work/deep/er/config"}) {
    EXPECT_FALSE(allows("file-write-unlink", path)) << path;
  }
  EXPECT_TRUE(allows("file-write-create", "/Users/ada/work/deep/er/other"));
  EXPECT_TRUE(allows("file-write-unlink", "/Users/ada/work/deep/other"));
}

TEST_F(Seatbelt, TheNetworkIsOffOrOneProxyOrOn) {
  EXPECT_THAT(profile(), Not(HasSubstr("network")));
  policy_.proxy = true;
  EXPECT_THAT(profile(), HasSubstr("(allow network-outbound (remote ip \"localhost:3128\"))"));
  EXPECT_THAT(profile(), Not(HasSubstr("network*")));
  policy_.network = true;
  EXPECT_THAT(profile(), HasSubstr("(allow network* system-socket)"));
}

TEST_F(Seatbelt, APathCannotEndItsRule) {
  policy_.workspace = "/Users/ada/a\") (allow default) (\"\\";
  EXPECT_THAT(profile(), HasSubstr(R"((subpath "/Users/ada/a\") (allow default) (\"\\"))"));
  EXPECT_THAT(profile(), Not(HasSubstr("#\"^/[uU][sS][eE][rR][sS]/[aA][dD][aA]/[aA]\"")));
}

}  // namespace
}  // namespace corvid::sandbox
