#include "runtime/local_dialogue.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>

#include "tests/runtime/scripted_model.h"

namespace corvid::runtime {
namespace {

using model::Message;
using model::Role;
using model::Token;

class LocalDialogueTest : public testing::Test {
 protected:
  LocalDialogueTest() { open(); }

  void open() {
    dialogue = std::make_unique<LocalDialogue>(scripted.model, engine, engine.new_timeline(),
                                               LocalOptions());
    dialogue->append(Opening{"You are Corvid.", tools});
    messages = {{.role = Role::system, .content = "You are Corvid."}};
  }

  template <typename T>
  T wait(asio::awaitable<T> work) {
    std::optional<T> result;
    std::exception_ptr failure;
    const auto done = [&](std::exception_ptr error, T value) {
      failure = error;
      result = std::move(value);
    };
    asio::co_spawn(io, std::move(work), asio::bind_cancellation_slot(cancel.slot(), done));
    io.restart();
    io.run();
    if (failure) std::rethrow_exception(failure);
    return std::move(*result);
  }

  void user(const std::string& text) {
    dialogue->append(UserText{text});
    messages.push_back({.role = Role::user, .content = text});
  }
  model::Turn reply(const model::Turn& said) {
    scripted.says(said);
    model::Turn turn = wait(dialogue->reply([this](const ReplyProgress& progress) {
      heard.reasoning += progress.delta.reasoning;
      heard.content += progress.delta.content;
    }));
    messages.push_back({.role = Role::assistant,
                        .content = said.content,
                        .reasoning = said.reasoning,
                        .calls = said.calls});
    return turn;
  }
  void result(const std::string& text) {
    dialogue->append(Results{{{"c", text, false}}});
    messages.push_back({.role = Role::tool, .content = text, .call_id = "c"});
  }
  model::Turn calling(int i) const {
    model::Turn turn{.stop = model::Stop::calls, .reasoning = "I need step " + std::to_string(i)};
    turn.calls = {{"c", "shell", R"({"command": "echo )" + std::to_string(i) + R"("})"}};
    return turn;
  }

  std::vector<Token> held() const {
    const auto tokens = dialogue->timeline().context->tokens();
    return {tokens.begin(), tokens.end()};
  }
  std::vector<Token> official() const {
    return scripted.model.tokenizer->encode(
        scripted.model.format->render(messages, tools, model::Thinking::on));
  }
  std::int64_t rows() const { return scripted.model.engine->rows_computed(); }

  ScriptedModel scripted;
  EngineThread engine{scripted.model.engine};
  asio::io_context io;
  asio::cancellation_signal cancel;
  std::vector<model::ToolSpec> tools = scripted.model.profile->tools;
  std::vector<Message> messages;
  model::Delta heard;
  std::unique_ptr<LocalDialogue> dialogue;
};

TEST_F(LocalDialogueTest, SaysWhatTheModelSaid) {
  user("hi");
  const model::Turn turn = reply({.reasoning = "A greeting.", .content = "Hello!"});
  EXPECT_EQ(turn.stop, model::Stop::end);
  EXPECT_EQ(turn.reasoning, "A greeting.");
  EXPECT_EQ(turn.content, "Hello!");
  EXPECT_EQ(heard.reasoning, "A greeting.");
  EXPECT_EQ(heard.content, "Hello!");
  EXPECT_EQ(turn.tokens, scripted.tokens_of({.reasoning = "A greeting.", .content = "Hello!"}));
}

TEST_F(LocalDialogueTest, OutlivesALoopThatEndsWhileTheModelSpeaks) {
  user("hi");
  scripted.says({.content = "A first answer that nobody waits for."});
  {
    asio::io_context loop;
    auto first = dialogue->reply([&](const ReplyProgress&) { loop.stop(); });
    asio::co_spawn(loop, std::move(first), [](std::exception_ptr, const model::Turn&) {});
    loop.run();
  }
  EXPECT_EQ(reply({.content = "Hello!"}).content, "Hello!");
}

TEST_F(LocalDialogueTest, InATurnOfTwentyCallsEachTokenIsComputedOnce) {
  user("take twenty steps");
  for (int i = 0; i <= 20; ++i) {
    const int prompt = static_cast<int>(official().size());
    const model::Turn turn = reply(i < 20 ? calling(i) : model::Turn{.content = "Done."});
    ASSERT_EQ(turn.stop, i < 20 ? model::Stop::calls : model::Stop::end);
    EXPECT_EQ(turn.usage.prefilled + turn.usage.reused, prompt);
    EXPECT_EQ(turn.usage.generated + turn.usage.forced, static_cast<int>(turn.tokens.size()));
    if (i < 20) result("output of step " + std::to_string(i) + "\n[exit 0]");
  }
  // The token that ended the answer is sampled and not yet computed.
  std::vector<Token> all = official();
  EXPECT_EQ(rows(), static_cast<std::int64_t>(all.size()) - 1);
  all.pop_back();
  EXPECT_EQ(held(), all);
}

TEST_F(LocalDialogueTest, AfterSettlingTheContextEqualsTheOfficialRendering) {
  user("take three steps");
  for (int i = 0; i <= 3; ++i) {
    reply(i < 3 ? calling(i) : model::Turn{.reasoning = "All done.", .content = "Done."});
    if (i < 3) result("output\n[exit 0]");
  }
  const std::int64_t before = rows();
  const std::vector<Token> old = held();
  const Dialogue::SettleCost cost = wait(dialogue->settle());
  EXPECT_EQ(rows() - before, cost.prefilled);
  EXPECT_GT(cost.dropped_tokens, 0);
  const std::size_t settled = held().size();
  EXPECT_LT(settled, old.size());

  user("and now?");
  std::vector<Token> prompt = official();
  EXPECT_TRUE(std::equal(prompt.begin(), prompt.begin() + settled, held().begin()));
  const model::Turn turn = reply({.reasoning = "Hm.", .content = "Nothing."});
  EXPECT_EQ(turn.usage.reused, static_cast<int>(settled));
  EXPECT_EQ(turn.usage.prefilled, static_cast<int>(prompt.size() - settled));
  prompt = official();
  prompt.pop_back();
  EXPECT_EQ(held(), prompt);
  EXPECT_EQ(scripted.model.tokenizer->decode(held()).find("I need step"), std::string::npos);
}

TEST_F(LocalDialogueTest, WithoutSettlingTheNextPromptStripsAllTheSame) {
  user("one step");
  reply(calling(1));
  result("x\n[exit 0]");
  reply({.reasoning = "All done.", .content = "Done."});
  user("and now?");
  reply({.reasoning = "Hm.", .content = "Nothing."});
  std::vector<Token> all = official();
  all.pop_back();
  EXPECT_EQ(held(), all);
}

TEST_F(LocalDialogueTest, SettlingTwiceOrWithNothingToDropCostsNothing) {
  user("hi");
  reply({.reasoning = "Hm.", .content = "Hello!"});
  wait(dialogue->settle());
  const std::int64_t before = rows();
  EXPECT_EQ(wait(dialogue->settle()).prefilled, 0);
  EXPECT_EQ(rows(), before);
}

TEST_F(LocalDialogueTest, AnInterruptAfterAnyTokenKeepsTokensAndTranscriptEqual) {
  const model::Turn said = calling(1);
  const int n = static_cast<int>(scripted.tokens_of(said).size());
  for (int cut = 1; cut < n; cut += 3) {
    open();
    user("go");
    scripted.says(said);
    scripted.on_token = [&](int n_tokens) {
      if (n_tokens != cut) return;
      std::promise<void> stopped;  // holds the engine back until the stop has been requested
      asio::post(io, [&] {
        cancel.emit(asio::cancellation_type::terminal);
        asio::post(io, [&] { stopped.set_value(); });
      });
      stopped.get_future().wait();
    };
    const model::Turn turn = wait(dialogue->reply(nullptr));
    scripted.on_token = nullptr;
    EXPECT_EQ(turn.stop, model::Stop::interrupted);
    EXPECT_TRUE(turn.calls.empty());
    const std::vector<Token> whole = scripted.tokens_of(said);
    ASSERT_EQ(static_cast<int>(turn.tokens.size()), cut);
    EXPECT_TRUE(std::equal(turn.tokens.begin(), turn.tokens.end(), whole.begin()));

    // The session goes on; whatever was said is in the next prompt as history.
    user("go on");
    scripted.says({.content = "Fine."});
    const model::Turn next = wait(dialogue->reply(nullptr));
    EXPECT_EQ(next.content, "Fine.");
    EXPECT_GT(next.usage.reused, 0);
  }
}

TEST_F(LocalDialogueTest, ReplacingTheHistoryReusesTheCommonPrefix) {
  user("hi");
  const model::Turn turn = reply({.content = "Hello!"});
  const std::vector<Entry> history = {Opening{"You are Corvid.", tools}, UserText{"hi"},
                                      Reply{turn, ""}, UserText{"again"}};
  const std::size_t before = held().size();
  const auto replace = [&]() -> asio::awaitable<bool> {
    co_await dialogue->replace(history);
    co_return true;
  };
  wait(replace());
  scripted.says({.content = "Yes."});
  const model::Turn next = wait(dialogue->reply(nullptr));
  EXPECT_GE(next.usage.reused, static_cast<int>(before) - 10);
}

TEST_F(LocalDialogueTest, AResumedConversationHasTheOfficialPromptAndTheModelsOwnTokens) {
  user("one step");
  std::vector<Entry> history = {Opening{"You are Corvid.", tools}, UserText{"one step"}};
  history.emplace_back(Reply{reply(calling(1)), ""});
  result("x\n[exit 0]");
  history.emplace_back(Results{{{"c", "x\n[exit 0]", false}}});
  history.emplace_back(Reply{reply({.reasoning = "Good.", .content = "Done."}), ""});
  history.emplace_back(UserText{"and now?"});

  dialogue = std::make_unique<LocalDialogue>(scripted.model, engine, engine.new_timeline(),
                                             LocalOptions());
  const auto replace = [&]() -> asio::awaitable<bool> {
    co_await dialogue->replace(history);
    co_return true;
  };
  wait(replace());
  messages.push_back({.role = Role::user, .content = "and now?"});
  const int prompt = static_cast<int>(official().size());
  const model::Turn turn = reply({.reasoning = "Hm.", .content = "Nothing."});
  EXPECT_EQ(turn.usage.prefilled, prompt);
  std::vector<Token> all = official();
  all.pop_back();
  EXPECT_EQ(held(), all);
}

TEST_F(LocalDialogueTest, TwoDialoguesDecodeTogetherAndEachSaysItsOwn) {
  LocalDialogue other(scripted.model, engine, engine.new_timeline(), LocalOptions());
  other.append(Opening{"Another.", {}});
  other.append(UserText{"x"});
  user("hi");
  const model::Turn said{.reasoning = "Hm.", .content = "The same for both."};
  scripted.says(said);
  scripted.says(said);
  std::vector<model::Turn> turns;
  const auto done = [&](std::exception_ptr error, model::Turn turn) {
    EXPECT_FALSE(error);
    turns.push_back(std::move(turn));
  };
  asio::co_spawn(io, dialogue->reply(nullptr), done);
  asio::co_spawn(io, other.reply(nullptr), done);
  io.run();
  ASSERT_EQ(turns.size(), 2u);
  EXPECT_EQ(turns[0].content, said.content);
  EXPECT_EQ(turns[1].content, said.content);
}

}  // namespace
}  // namespace corvid::runtime
