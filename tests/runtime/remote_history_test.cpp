// What is sent of the past: the same bytes in every request, but for reasoning.
#include "runtime/remote_history.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/reply_reader.h"
#include "tests/runtime/model_server.h"

namespace corvid::runtime {
namespace {

using namespace corvid::tests;
using model::ReasoningRule;
using Replay = RemoteHistory::Replay;

ChatReply reply_of(std::initializer_list<std::string> payloads) {
  ReplyReader reader("", {});
  for (const std::string& payload : payloads) reader.feed("data: " + payload + "\n\n");
  return reader.finish(false);
}

ChatReply calling(const std::string& id, const std::string& reasoning) {
  return reply_of({reasoning_chunk(reasoning), call_chunk(0, id, "shell", "{\"command\":\"ls\"}"),
                   finish_chunk("tool_calls")});
}

ChatReply answering(const std::string& text, const std::string& reasoning) {
  return reply_of({reasoning_chunk(reasoning), content_chunk(text), finish_chunk("stop")});
}

// All but the closing bracket.
bool is_prefix(std::string before, const std::string& after) {
  before.pop_back();
  return after.starts_with(before);
}

TEST(RemoteHistory, OnlyGrowsOverSixtyToolTurns) {
  for (const ReasoningRule rule : {ReasoningRule::always, ReasoningRule::turn}) {
    RemoteHistory history(rule);
    history.append(Entry(Opening{"You are \"careful\".", {{"shell", "runs", "{}"}}}));
    history.append(Entry(UserText{"do it \xE2\x82\xAC"}));
    std::string before = history.messages(Replay::by_rule);
    const std::string tools = history.tools();
    for (int i = 0; i < 60; ++i) {
      ChatReply reply = calling("c" + std::to_string(i % 7), "step " + std::to_string(i));
      history.append(reply);
      history.append(Entry(Results{{{reply.turn.calls.at(0).id, "out \n\t\x01", i % 2 == 0}}}));
      const std::string after = history.messages(Replay::by_rule);
      EXPECT_TRUE(is_prefix(before, after)) << i;
      before = after;
    }
    EXPECT_EQ(history.tools(), tools);
    EXPECT_EQ(nlohmann::json::parse(before).size(), 122u);
  }
}

TEST(RemoteHistory, ReasoningStaysInsideATurnAndLeavesByTheRule) {
  for (const ReasoningRule rule : {ReasoningRule::always, ReasoningRule::turn}) {
    RemoteHistory history(rule);
    history.append(Entry(UserText{"first"}));
    ChatReply one = calling("c", "thought one"), two = answering("done", "thought two");
    history.append(one);
    history.append(Entry(Results{{{"c", "out"}}}));
    history.append(two);
    EXPECT_NE(history.messages(Replay::by_rule).find("thought one"), std::string::npos);
    history.append(Entry(UserText{"second"}));
    const std::string sent = history.messages(Replay::by_rule);
    EXPECT_EQ(sent.find("thought one") != std::string::npos, rule == ReasoningRule::always);
    EXPECT_EQ(sent.find("thought two") != std::string::npos, rule == ReasoningRule::always);
    EXPECT_NE(sent.find("tool_calls"), std::string::npos);
    EXPECT_EQ(history.has_dropped_reasoning(), rule == ReasoningRule::turn);
    EXPECT_NE(history.messages(Replay::everything).find("thought one"), std::string::npos);
    EXPECT_EQ(history.messages(Replay::nothing).find("thought"), std::string::npos);
  }
}

TEST(RemoteHistory, RepeatedIdsBecomeUniqueAndAreSentAsTheServerGaveThem) {
  RemoteHistory history(ReasoningRule::always);
  ChatReply one = calling("call_0", "a"), two = calling("call_0", "b");
  history.append(one);
  history.append(Entry(Results{{{one.turn.calls[0].id, "first"}}}));
  history.append(two);
  EXPECT_NE(one.turn.calls[0].id, two.turn.calls[0].id);
  history.append(Entry(Results{{{two.turn.calls[0].id, "second"}}}));
  const auto messages = nlohmann::json::parse(history.messages(Replay::by_rule));
  EXPECT_EQ(messages[1]["tool_call_id"], "call_0");
  EXPECT_EQ(messages[3]["tool_call_id"], "call_0");
}

TEST(RemoteHistory, AResumedSessionSendsTheSameBytes) {
  RemoteHistory live(ReasoningRule::turn), resumed(ReasoningRule::turn);
  std::vector<Entry> journal = {Opening{"sys", {{"shell", "d", "{\"type\": \"object\"}"}}},
                                UserText{"one"}};
  for (const Entry& entry : journal) live.append(entry);
  for (int i = 0; i < 3; ++i) {
    ChatReply reply = calling("call_0", "r" + std::to_string(i));
    live.append(reply);
    journal.push_back(Reply{reply.turn, reply.message});
    journal.push_back(Results{{{reply.turn.calls[0].id, "out"}}});
    live.append(journal.back());
  }
  journal.push_back(UserText{"two"});
  live.append(journal.back());
  for (const Entry& entry : journal) resumed.append(entry);
  EXPECT_EQ(resumed.messages(Replay::by_rule), live.messages(Replay::by_rule));
  EXPECT_EQ(resumed.messages(Replay::everything), live.messages(Replay::everything));
  EXPECT_EQ(resumed.tools(), live.tools());
}

TEST(RemoteHistory, ATurnOfALocalModelIsPutIntoWords) {
  RemoteHistory history(ReasoningRule::always);
  model::Turn turn;
  turn.content = "hi";
  turn.reasoning = "hm";
  turn.calls = {{"call_1", "shell", "{\"command\": \"ls\"}"}};
  history.append(Entry(Reply{turn, ""}));
  history.append(Entry(Reply{model::Turn(), ""}));  // interrupted at once: nothing to send
  const auto messages = nlohmann::json::parse(history.messages(Replay::by_rule));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0]["tool_calls"][0]["function"]["arguments"], "{\"command\": \"ls\"}");
  EXPECT_EQ(messages[0]["reasoning_content"], "hm");
}

}  // namespace
}  // namespace corvid::runtime
