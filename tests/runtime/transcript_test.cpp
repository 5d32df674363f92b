#include "runtime/transcript.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/model/vocabulary.h"

namespace corvid::runtime {
namespace {

using model::Message;
using model::Role;
using model::Token;

std::shared_ptr<const model::Tokenizer> tokenizer() {
  return model::testing::deepseek_tokenizer();
}

const std::vector<model::ToolSpec> kTools = {
    {"shell", "Run a command.",
     R"({"type": "object", "properties": {"command": {"type": "string"}}})"}};

// A conversation kept twice: as messages for the official rendering, and as a transcript.
class Conversation {
 public:
  explicit Conversation(model::Thinking thinking)
      : thinking(thinking),
        format(model::ChatFormat::named("deepseek-v3.2")),
        transcript(tokenizer(), format, thinking) {
    messages.push_back({.role = Role::system, .content = "S"});
    say(Opening{"S", kTools});
  }

  void user(const std::string& text) {
    messages.push_back({.role = Role::user, .content = text});
    say(UserText{text});
  }

  // The model says the tokens of the official rendering.
  void reply(const std::string& reasoning, const std::string& content,
             const std::vector<model::ToolCall>& calls) {
    const std::vector<Token> before = official();
    messages.push_back({.role = Role::assistant,
                        .content = content,
                        .reasoning = thinking == model::Thinking::on ? reasoning : "",
                        .calls = calls});
    const std::vector<Token> after = official();
    EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin()));
    Reply reply;
    reply.turn = {.stop = calls.empty() ? model::Stop::end : model::Stop::calls,
                  .reasoning = messages.back().reasoning,
                  .content = content,
                  .calls = calls};
    reply.turn.tokens.assign(after.begin() + static_cast<long>(before.size()), after.end());
    say(reply);
  }

  void results(const std::vector<model::ToolResult>& results) {
    for (const model::ToolResult& result : results) {
      messages.push_back({.role = Role::tool, .content = result.text, .call_id = result.call_id});
    }
    say(Results{results});
  }

  std::vector<Token> official() const {
    return tokenizer()->encode(format->render(messages, kTools, thinking));
  }

  void say(Entry entry) {
    transcript.append(entry);
    entries.push_back(std::move(entry));
  }

  model::Thinking thinking;
  std::shared_ptr<const model::ChatFormat> format;
  Transcript transcript;
  std::vector<Message> messages;
  std::vector<Entry> entries;
};

std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> kParts = {
      "a",  "the file",  "\n", "\n\n",         " ",
      ">",  "</result>", "42", "\u00e9\u4e2d", "<think>",
      "{}", "x = 1;",    "  ", "ok.",          "<\uff5cUser\uff5c>"};
  std::string text;
  for (int n = random() % 6; n > 0; --n) text += kParts[random() % kParts.size()];
  return text;
}

TEST(Transcript, EqualsTheOfficialPromptAtEveryReplyOfRandomConversations) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    Conversation talk(round % 3 == 0 ? model::Thinking::off : model::Thinking::on);
    for (int turn = 0; turn < 3; ++turn) {
      talk.user(random_text(random));
      for (int step = random() % 3; step > 0; --step) {
        ASSERT_EQ(talk.transcript.prompt(), talk.official());
        std::vector<model::ToolCall> calls;
        std::vector<model::ToolResult> results;
        for (int n = 1 + random() % 2; n > 0; --n) {
          const std::string id = "c" + std::to_string(n);
          calls.push_back({id, "shell", R"({"command": "ls"})"});
          results.push_back({id, random_text(random), false});
        }
        talk.reply(random_text(random), random_text(random), calls);
        talk.results(results);
      }
      ASSERT_EQ(talk.transcript.prompt(), talk.official());
      ASSERT_EQ(talk.transcript.size(), static_cast<int>(talk.official().size()));
      if (random() % 4) talk.reply(random_text(random), "done " + random_text(random), {});
    }
    Transcript again(tokenizer(), talk.format, talk.thinking);
    again.replace(talk.entries);
    EXPECT_EQ(again.prompt(), talk.transcript.prompt());
  }
}

TEST(Transcript, TheModelsOwnTokensStayAsItSampledThem) {
  Conversation talk(model::Thinking::on);
  talk.user("hi");
  // The same bytes as "Hello!" and the markers, in tokens that no encoder would choose.
  const Token end_think = *tokenizer()->special("</think>");
  std::vector<Token> spelled;
  for (const char* piece : {"H", "m"}) spelled.push_back(tokenizer()->encode(piece)[0]);
  spelled.push_back(end_think);
  for (const char* piece : {"H", "e", "l", "l", "o", "!"}) {
    spelled.push_back(tokenizer()->encode(piece)[0]);
  }
  spelled.push_back(tokenizer()->eos());
  Reply reply;
  reply.turn = {
      .stop = model::Stop::end, .reasoning = "Hm", .content = "Hello!", .tokens = spelled};
  talk.say(reply);
  talk.messages.push_back({.role = Role::assistant, .content = "Hello!", .reasoning = "Hm"});
  talk.user("next");
  const std::vector<Token> prompt = talk.transcript.prompt();
  EXPECT_EQ(tokenizer()->decode(prompt), tokenizer()->decode(talk.official()));
  const std::vector<Token> answer(spelled.begin() + 3, spelled.end());
  EXPECT_NE(std::ranges::search(prompt, answer).begin(), prompt.end());
  EXPECT_NE(prompt, talk.official());
}

TEST(Transcript, SettlingLeavesExactlyThePrefixOfTheNextPrompt) {
  Conversation talk(model::Thinking::on);
  talk.user("go");
  talk.reply("think 1", "", {{"c", "shell", R"({"command": "ls"})"}});
  talk.results({{"c", "x", false}});
  talk.reply("think 2", "done", {});
  const std::vector<Token> settled = talk.transcript.settled();
  talk.user("next");
  const std::vector<Token> prompt = talk.transcript.prompt();
  ASSERT_LT(settled.size(), prompt.size());
  EXPECT_TRUE(std::equal(settled.begin(), settled.end(), prompt.begin()));
  EXPECT_EQ(tokenizer()->decode(settled).find("think 1"), std::string::npos);
}

TEST(Transcript, AnInterruptedReplyIsClosedBeforeWhatFollows) {
  for (const bool in_reasoning : {true, false}) {
    Conversation talk(model::Thinking::on);
    talk.user("go");
    Reply cut;
    cut.turn.stop = model::Stop::interrupted;
    cut.turn.tokens = tokenizer()->encode("so far");
    if (in_reasoning) {
      cut.turn.reasoning = "so far";
    } else {
      cut.turn.content = "so far";
      cut.turn.tokens.insert(cut.turn.tokens.begin(), *tokenizer()->special("</think>"));
    }
    talk.say(cut);
    talk.messages.push_back({.role = Role::assistant, .content = cut.turn.content});
    talk.user("next");
    EXPECT_EQ(talk.transcript.prompt(), talk.official()) << in_reasoning;
  }
}

TEST(Transcript, RepliesOfAnotherModelAreRenderedFromTheirText) {
  Conversation talk(model::Thinking::on);
  talk.user("go");
  Reply reply;
  reply.turn = {.stop = model::Stop::calls, .reasoning = "hm", .content = "Look:"};
  reply.turn.calls = {{"c", "shell", R"({"command": "ls"})"}};
  talk.say(reply);
  talk.messages.push_back({.role = Role::assistant, .content = "Look:", .calls = reply.turn.calls});
  talk.results({{"c", "x", false}});
  talk.user("next");
  EXPECT_EQ(talk.transcript.prompt(), talk.official());
}

}  // namespace
}  // namespace corvid::runtime
