// The file of logins: private, whole, and left alone when it is not understood.
#include "plugins/oauth_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "plugins/error.h"
#include "tests/scratch_folder.h"

namespace corvid::plugins {
namespace {

namespace fs = std::filesystem;

OAuthLogin login_of(const std::string& server, const std::string& issuer,
                    const std::string& token) {
  OAuthLogin login;
  login.server = server;
  login.issuer = issuer;
  login.client = {"client", Secret("secret"), "client_secret_post"};
  login.scopes = {"a", "b"};
  login.access = Secret(token);
  return login;
}

class OAuthStoreTest : public testing::Test {
 protected:
  fs::path file() const { return folder_.path() / "state" / "logins.json"; }
  std::string text() const {
    std::ifstream stream(file());
    std::ostringstream all;
    all << stream.rdbuf();
    return all.str();
  }
  mode_t mode() const {
    struct stat info = {};
    stat(file().c_str(), &info);
    return info.st_mode & 0777;
  }

  ScratchFolder folder_;
};

TEST_F(OAuthStoreTest, ALoginIsKeptByServerAndIssuerAndTheLatestCounts) {
  OAuthStore store(file());
  EXPECT_FALSE(store.find("s"));
  store.put(login_of("s", "i", "one"));
  store.put(login_of("s", "j", "two"));
  store.put(login_of("t", "i", "three"));
  EXPECT_EQ(OAuthStore(file()).find("s")->access.reveal(), "two");
  store.put(login_of("s", "i", "four"));
  const auto found = OAuthStore(file()).find("s");
  EXPECT_EQ(found->access.reveal(), "four");
  EXPECT_EQ(found->client.auth, "client_secret_post");
  EXPECT_THAT(found->scopes, testing::ElementsAre("a", "b"));
  EXPECT_EQ(store.forget("s"), 2);
  EXPECT_FALSE(store.find("s"));
  EXPECT_EQ(store.find("t")->access.reveal(), "three");
  EXPECT_THAT(text(), testing::Not(testing::HasSubstr("four")));
}

TEST_F(OAuthStoreTest, TheFileIsTheUsersAloneWhateverLayThere) {
  fs::create_directories(file().parent_path());
  std::ofstream(file().string() + ".new") << "left behind";
  const mode_t before = umask(0);
  OAuthStore(file()).put(login_of("s", "i", "one"));
  umask(before);
  EXPECT_EQ(mode(), 0600u);
  EXPECT_FALSE(fs::exists(file().string() + ".new"));
}

TEST_F(OAuthStoreTest, AFileThatOthersCanReadIsRefused) {
  OAuthStore store(file());
  store.put(login_of("s", "i", "one"));
  chmod(file().c_str(), 0644);
  EXPECT_THROW(store.find("s"), PluginError);
}

TEST_F(OAuthStoreTest, ALinkIsNotFollowed) {
  OAuthStore store(file());
  store.put(login_of("s", "i", "one"));
  fs::rename(file(), folder_.path() / "elsewhere");
  fs::create_symlink(folder_.path() / "elsewhere", file());
  EXPECT_THROW(store.find("s"), PluginError);
}

TEST_F(OAuthStoreTest, WhatIsNotUnderstoodIsLeftAlone) {
  OAuthStore store(file());
  store.put(login_of("s", "i", "one"));
  for (const char* other : {R"({"version": 2, "logins": []})", "{", R"({"version": 1})",
                            R"({"version": 1, "logins": [{"server": 7}]})"}) {
    std::ofstream(file()) << other;
    EXPECT_THROW(store.find("s"), PluginError) << other;
    EXPECT_THROW(store.put(login_of("s", "i", "two")), PluginError) << other;
    EXPECT_EQ(text(), other);
  }
}

TEST_F(OAuthStoreTest, WithoutAFileItIsForgottenWithTheObject) {
  OAuthStore store({});
  store.put(login_of("s", "i", "one"));
  EXPECT_EQ(store.find("s")->access.reveal(), "one");
  EXPECT_EQ(store.forget("s"), 1);
  EXPECT_FALSE(store.find("s"));
}

}  // namespace
}  // namespace corvid::plugins
