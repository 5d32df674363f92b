#include "runtime/record.h"

#include <gtest/gtest.h>

#include "runtime/shortening.h"

namespace corvid::runtime {
namespace {

memory::SessionInfo session() {
  memory::SessionInfo info;
  info.header.model_fingerprint = "f";
  info.header.chat_format = "deepseek-v3.2/1";
  info.header.system = "You are Corvid.";
  info.header.tools = tools_json(std::vector<model::ToolSpec>{
      {"shell", "Run it.", R"({"type":"object","required":["b"],"a":1.5})"}});
  return info;
}

Reply calling(std::vector<model::ToolCall> calls) {
  Reply reply;
  reply.turn = {.stop = model::Stop::calls, .reasoning = "r", .content = "c"};
  reply.turn.calls = std::move(calls);
  reply.turn.tokens = {5, 6, 7};
  reply.turn.usage = {1, 2, 3, 4, 0.5, 0.25};
  reply.verbatim = R"({"role": "assistant"})";
  return reply;
}

std::vector<Entry> replayed(std::vector<memory::Step> steps, std::string fingerprint = "f") {
  memory::SessionHeader now = session().header;
  now.model_fingerprint = std::move(fingerprint);
  return replay(session(), steps, now);
}

TEST(Record, ReplayGivesTheHistoryThatWasJournaled) {
  Reply reply = calling({{"c1", "shell", R"({"command":"ls"})"}, {"c2", "nope", "{}", "bad"}});
  reply.turn.problem = "odd";
  const std::vector<Entry> history =
      replayed({prompt_step("go\n"), turn_step(reply), result_step("nope", {"c2", "no", true}),
                result_step("shell", {"c1", "x", false})});
  ASSERT_EQ(history.size(), 4u);
  const auto& opening = std::get<Opening>(history[0]);
  EXPECT_EQ(opening.system, "You are Corvid.");
  EXPECT_EQ(opening.tools.at(0).parameters, R"({"type":"object","required":["b"],"a":1.5})");
  EXPECT_EQ(std::get<UserText>(history[1]).text, "go\n");
  const auto& again = std::get<Reply>(history[2]);
  EXPECT_EQ(again.turn.stop, model::Stop::calls);
  EXPECT_EQ(again.turn.reasoning, "r");
  EXPECT_EQ(again.turn.content, "c");
  EXPECT_EQ(again.turn.calls, reply.turn.calls);
  EXPECT_EQ(again.turn.tokens, reply.turn.tokens);
  EXPECT_EQ(again.turn.problem, "odd");
  EXPECT_EQ(again.turn.usage.forced, 4);
  EXPECT_EQ(again.verbatim, reply.verbatim);
  const auto& results = std::get<Results>(history[3]).results;  // in the order of the calls
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0], (model::ToolResult{"c1", "x", false}));
  EXPECT_EQ(results[1], (model::ToolResult{"c2", "no", true}));
  EXPECT_TRUE(unanswered(history).empty());
  EXPECT_EQ(count_calls(history), 2);
}

TEST(Record, ACallWithoutAResultIsInterruptedWithUnknownEffects) {
  const Reply reply = calling({{"c1", "shell", "{}"}, {"c2", "write", "{}"}, {"c3", "read", "{}"}});
  std::vector<Entry> history =
      replayed({prompt_step("go"), turn_step(reply), result_step("write", {"c2", "done", false})});
  const auto open = unanswered(history);
  ASSERT_EQ(open.size(), 2u);
  EXPECT_EQ(open[0].first.id, "c1");
  EXPECT_EQ(open[1].first.id, "c3");
  EXPECT_NE(open[0].second.text.find("interrupted, effects unknown"), std::string::npos);
  for (const auto& [call, result] : open) add_result(history, result);
  const auto& results = std::get<Results>(history.back()).results;
  ASSERT_EQ(results.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(results[i].call_id, reply.turn.calls[i].id);
  EXPECT_TRUE(unanswered(history).empty());
}

TEST(Record, AReplyThatWasCutOffLeavesNoCallOpen) {
  Reply reply = calling({{"c1", "shell", "{}"}});
  reply.turn.stop = model::Stop::interrupted;
  EXPECT_TRUE(unanswered(replayed({prompt_step("go"), turn_step(reply)})).empty());
}

TEST(Record, TokensOfAnotherModelAreLeftOut) {
  const Reply reply = calling({});
  memory::SessionHeader other = session().header;
  other.model_fingerprint = "g";
  const std::vector<memory::Step> steps = {prompt_step("1"), turn_step(reply), model_step(other),
                                           prompt_step("2"), turn_step(reply)};
  const auto tokens = [&](const std::string& fingerprint, int entry) {
    return std::get<Reply>(replayed(steps, fingerprint)[entry]).turn.tokens.size();
  };
  EXPECT_EQ(tokens("f", 2), 3u);
  EXPECT_EQ(tokens("f", 4), 0u);
  EXPECT_EQ(tokens("g", 2), 0u);
  EXPECT_EQ(tokens("g", 4), 3u);
}

TEST(Shortening, CutsTheOldestLongResultsUntilThereIsRoom) {
  const std::string text = std::string(1000, 'a') + std::string(3000, 'b') + std::string(1000, 'c');
  const auto results = [](std::string text) { return Results{{{"c", std::move(text), false}}}; };
  std::vector<Entry> history = {results("short"), results(text), UserText{text}, results(text)};
  EXPECT_EQ(shorten_oldest_results(history, 1000), 1);
  const std::string& cut = std::get<Results>(history[1]).results[0].text;
  EXPECT_LT(cut.size(), 500u);
  EXPECT_EQ(cut.substr(0, 240), text.substr(0, 240));
  EXPECT_EQ(cut.substr(cut.size() - 120), text.substr(text.size() - 120));
  EXPECT_NE(cut.find("[4640 bytes removed to make room]"), std::string::npos) << cut;
  EXPECT_EQ(std::get<Results>(history[0]).results[0].text, "short");
  EXPECT_EQ(std::get<UserText>(history[2]).text, text);
  EXPECT_EQ(std::get<Results>(history[3]).results[0].text, text);
  EXPECT_EQ(shorten_oldest_results(history, 1), 1);
  EXPECT_EQ(shorten_oldest_results(history, 1), 0);
}

TEST(Shortening, NeverCutsACharacterInTwo) {
  for (int shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'x');
    for (int i = 0; i < 300; ++i) text += "\U0001F426";  // four bytes
    std::vector<Entry> history = {Results{{{"c", text, false}}}};
    ASSERT_EQ(shorten_oldest_results(history, 1), 1);
    const std::string& cut = std::get<Results>(history[0]).results[0].text;
    const std::size_t mark = cut.find("\n[");
    EXPECT_EQ((mark - shift) % 4, 0u);
    EXPECT_EQ((cut.size() - cut.find("]\n") - 2) % 4, 0u);
  }
}

}  // namespace
}  // namespace corvid::runtime
