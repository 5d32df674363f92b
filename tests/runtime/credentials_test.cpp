// Where keys come from, and that they stay secret.
#include "runtime/credentials.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "runtime/error.h"
#include "tests/scratch_folder.h"

namespace corvid::runtime {
namespace {

namespace fs = std::filesystem;

class Credentials : public testing::Test {
 protected:
  Credentials() {
    sources_.key_file = folder_ / "keys";
    sources_.host = "llm.example:8000";
    sources_.environment = [this](const char* name) {
      const auto found = environment_.find(name);
      return found == environment_.end() ? nullptr : found->second.c_str();
    };
  }

  void write_keys(const std::string& text, mode_t mode) {
    std::ofstream(sources_.key_file) << text;
    chmod(sources_.key_file.c_str(), mode);
  }
  std::string refusal() {
    try {
      find_credential(sources_);
    } catch (const RuntimeError& refused) {
      EXPECT_EQ(refused.code(), kUsage);
      return refused.what();
    }
    return "not refused";
  }

  ScratchFolder folder_;
  std::map<std::string, std::string> environment_;
  CredentialSources sources_;
};

TEST_F(Credentials, NoneIsNone) {
  EXPECT_TRUE(find_credential(sources_).key.empty());
}

TEST_F(Credentials, AFileOfOnesOwnIsRead) {
  write_keys("# my keys\n\nother.example sk-no\nllm.example:8000   sk-yes\n", 0600);
  const Credential found = find_credential(sources_);
  EXPECT_EQ(found.key.reveal(), "sk-yes");
  EXPECT_EQ(found.origin, sources_.key_file.string());
}

TEST_F(Credentials, AFileThatOthersCanReadIsRefusedWithoutShowingItsKeys) {
  for (const mode_t mode : {0640, 0604, 0644, 0660, 0620, 0610}) {
    write_keys("llm.example:8000 sk-secret\n", mode);
    const std::string why = refusal();
    EXPECT_NE(why.find("chmod 600"), std::string::npos) << why;
    EXPECT_EQ(why.find("sk-secret"), std::string::npos);
  }
}

TEST_F(Credentials, ABrokenFileIsRefusedByLine) {
  write_keys("a b\nllm.example:8000\n", 0600);
  EXPECT_NE(refusal().find("line 2"), std::string::npos);
  fs::remove(sources_.key_file);
  fs::create_directory(sources_.key_file);
  EXPECT_NE(refusal().find("not a regular file"), std::string::npos);
}

TEST_F(Credentials, AProvidersVariableIsForItsHostAlone) {
  environment_["DEEPSEEK_API_KEY"] = "sk-deepseek";
  EXPECT_TRUE(find_credential(sources_).key.empty());
  sources_.host = "api.deepseek.com";
  EXPECT_EQ(find_credential(sources_).key.reveal(), "sk-deepseek");
}

TEST_F(Credentials, TheNamedVariableMustBeSet) {
  sources_.variable = "MY_KEY";
  EXPECT_NE(refusal().find("MY_KEY"), std::string::npos);
  environment_["MY_KEY"] = "sk-mine";
  environment_["CORVID_API_KEY"] = "sk-other";
  EXPECT_EQ(find_credential(sources_).key.reveal(), "sk-mine");
}

TEST_F(Credentials, AKeyThatWouldChangeTheRequestIsRefused) {
  environment_["CORVID_API_KEY"] = "sk\r\nX-Evil: 1";
  EXPECT_EQ(refusal().find("Evil"), std::string::npos);
}

TEST_F(Credentials, RedactionTakesOutEveryOccurrence) {
  const Secret secret("sk-1");
  EXPECT_EQ(secret.redacted("bad key sk-1, really sk-1sk-1"), "bad key [key], really [key][key]");
  EXPECT_EQ(Secret().redacted("x"), "x");
}

}  // namespace
}  // namespace corvid::runtime
