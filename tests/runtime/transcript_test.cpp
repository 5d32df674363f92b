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
  explicit Conversation(model::Thinking thinking, std::string_view name = "deepseek-v3.2")
      : thinking(thinking),
        format(model::ChatFormat::named(name)),
        vocabulary(model::testing::tokenizer_for(*format)),
        transcript(vocabulary, format, thinking) {
    messages.push_back({.role = Role::system, .content = "S"});
    say(Opening{"S", kTools});
  }

  void user(const std::string& text) {
    messages.push_back({.role = Role::user, .content = text});
    say(UserText{text});
  }

  // The model says what the official rendering of history says, after its reasoning.
  void reply(const std::string& reasoning, const std::string& content,
             const std::vector<model::ToolCall>& calls) {
    const bool thinks = transcript.thinking() == model::Thinking::on;
    Reply reply;
    reply.turn = {.stop = calls.empty() ? model::Stop::end : model::Stop::calls,
                  .reasoning = thinks ? reasoning : "",
                  .content = content,
                  .calls = calls};
    model::PieceWriter said;
    if (thinks) said.plain(reasoning).special("</think>");
    const std::string prefix = model::text_of(format->history_prefix(false));
    const model::Pieces history = format->history(reply.turn, false);
    std::size_t skip = prefix.size() - format->syntax().lead().size() * prefix.ends_with(' ');
    for (model::Piece piece : history) {
      const std::size_t size = std::min(skip, piece.text.size());
      piece.text.erase(0, size);
      skip -= size;
      if (!piece.text.empty()) said.add({piece});
    }
    reply.turn.tokens = vocabulary->encode(said.take());
    messages.push_back({.role = Role::assistant,
                        .content = content,
                        .reasoning = reply.turn.reasoning,
                        .calls = calls});
    say(reply);
  }

  void results(const std::vector<model::ToolResult>& results) {
    for (const model::ToolResult& result : results) {
      messages.push_back({.role = Role::tool, .content = result.text, .call_id = result.call_id});
    }
    say(Results{results});
  }

  std::vector<Token> official() const {
    return vocabulary->encode(format->render(messages, kTools, thinking));
  }

  void say(Entry entry) {
    transcript.append(entry);
    entries.push_back(std::move(entry));
  }

  model::Thinking thinking;
  std::shared_ptr<const model::ChatFormat> format;
  std::shared_ptr<const model::Tokenizer> vocabulary;
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

class TranscriptOfEveryFormat : public ::testing::TestWithParam<std::string_view> {};

TEST_P(TranscriptOfEveryFormat, EqualsTheOfficialPromptAtEveryReplyOfRandomConversations) {
  std::mt19937 random(7);
  // GLM's rendering trims what is said, and leaves out reasoning that is empty.
  const auto said = [&random] {
    const std::string text = random_text(random);
    return GetParam() == "glm-4.7" ? "x" + text + "x" : text;
  };
  // R1's drops reasoning at once, the transcript with the next message of the user.
  const bool inside_turns = GetParam() != "deepseek-r1";
  for (int round = 0; round < 60; ++round) {
    Conversation talk(round % 3 == 0 ? model::Thinking::off : model::Thinking::on, GetParam());
    for (int turn = 0; turn < 3; ++turn) {
      talk.user(random_text(random));
      ASSERT_EQ(talk.transcript.prompt(), talk.official());
      for (int step = random() % 3; step > 0; --step) {
        std::vector<model::ToolCall> calls;
        std::vector<model::ToolResult> results;
        for (int n = 1 + random() % 2; n > 0; --n) {
          const std::string id = "c" + std::to_string(n);
          calls.push_back({id, "shell", R"({"command": "ls"})"});
          results.push_back({id, random_text(random), false});
        }
        talk.reply(said(), said(), calls);
        talk.results(results);
        if (inside_turns) {
          ASSERT_EQ(talk.transcript.prompt(), talk.official());
        }
      }
      ASSERT_EQ(talk.transcript.size(), static_cast<int>(talk.transcript.prompt().size()));
      if (random() % 4) talk.reply(said(), "done " + said(), {});
    }
    Transcript again(talk.vocabulary, talk.format, talk.thinking);
    again.replace(talk.entries);
    EXPECT_EQ(again.prompt(), talk.transcript.prompt());
  }
}

INSTANTIATE_TEST_SUITE_P(All, TranscriptOfEveryFormat,
                         ::testing::ValuesIn(model::ChatFormat::names()), [](const auto& info) {
                           std::string name(info.param);
                           std::ranges::replace_if(
                               name, [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

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
