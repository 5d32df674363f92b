// corvid render and corvid tokenize as programs: what they print, and how they refuse.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/runtime/program.h"

namespace corvid {
namespace {

using Json = nlohmann::ordered_json;

const std::string kVectors = std::string(CORVID_SOURCE_DIR) + "/tests/vectors/";
const std::string kVocabulary = kVectors + "deepseek-v3.2-vocab.gguf";

Json vectors(const std::string& name) {
  std::ifstream in(kVectors + name);
  return Json::parse(in);
}

std::vector<int> ids_in(const std::string& output) {
  std::istringstream in(output);
  return {std::istream_iterator<int>(in), {}};
}

TEST(RenderCommand, PrintsTheReferencePromptAndItsIds) {
  const Json prompts = vectors("chat-v3.2.json");
  for (const auto& [name, vector] : prompts.items()) {
    const Outcome text = corvid("render -", vector.dump());
    EXPECT_EQ(text.output, vector["prompt"].get<std::string>()) << name;
    EXPECT_EQ(text.code, 0);
    if (name != "two_calls") continue;  // the model room's tests look at all ids
    const Outcome ids = corvid("render - --ids --model " + kVocabulary, vector.dump());
    EXPECT_EQ(ids_in(ids.output), vector["ids"].get<std::vector<int>>()) << name;
  }
}

TEST(RenderCommand, PrintsAnyFormatByItsName) {
  const Json prompts = vectors("chat-templates.json");
  for (const auto& [format, cases] : prompts.items()) {
    const Json& vector = cases.begin().value();
    const Outcome text = corvid("render - --chat-format " + format, vector.dump());
    EXPECT_EQ(text.output, vector["prompt"].get<std::string>()) << format;
    EXPECT_EQ(text.code, 0);
  }
  const Outcome unknown = corvid("render - --chat-format chatml", "{}");
  EXPECT_NE(unknown.output.find("deepseek-v2, deepseek-v3, deepseek-r1"), std::string::npos);
  EXPECT_EQ(unknown.code, 3);
  EXPECT_EQ(corvid("run --chat-format chatml x", "").code, 3);
}

TEST(RenderCommand, SaysWhatIsWrongWithTheConversation) {
  const Outcome wrong = corvid("render -", R"({"messages": [{"role": "king"}]})");
  EXPECT_NE(wrong.output.find("messages[0].role"), std::string::npos);
  EXPECT_EQ(wrong.code, 3);
  const Outcome absent = corvid("render /nowhere.json", "");
  EXPECT_NE(absent.output.find("/nowhere.json"), std::string::npos);
  EXPECT_EQ(absent.code, 2);
  EXPECT_EQ(corvid("render - --ids", "{}").code, 2);
}

TEST(TokenizeCommand, PrintsTheGoldenIds) {
  const Json golden = vectors("deepseek-v3.2-golden.json");
  for (std::size_t i : {0u, 5u, 20u}) {
    const std::string text = golden[i]["text"];
    const Outcome ids = corvid("tokenize --special --model " + kVocabulary, text);
    EXPECT_EQ(ids_in(ids.output), golden[i]["ids"].get<std::vector<int>>()) << text;
  }
}

TEST(TokenizeCommand, SpecialTokensArePlainTextUnlessAskedFor) {
  const std::string think = "<think>";
  EXPECT_EQ(ids_in(corvid("tokenize --special --model " + kVocabulary, think).output),
            std::vector<int>{128798});
  EXPECT_GT(ids_in(corvid("tokenize --model " + kVocabulary, think).output).size(), 1u);
}

}  // namespace
}  // namespace corvid
