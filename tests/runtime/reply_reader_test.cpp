// From response bytes to a reply: what servers really send, and what they must not get away with.
#include "runtime/reply_reader.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "tests/runtime/model_server.h"

namespace corvid::runtime {
namespace {

using namespace corvid::tests;
using model::Stop;

std::string events(std::initializer_list<std::string> payloads) {
  std::string text;
  for (const std::string& payload : payloads) text += "data: " + payload + "\n\n";
  return text;
}

struct Read {
  ChatReply reply;
  model::Delta deltas;
};

Read read(std::string_view bytes, std::size_t step = 1 << 20, ReplyLimits limits = {},
          std::string_view type = "text/event-stream; charset=utf-8") {
  ReplyReader reader(type, limits);
  Read result;
  const auto add = [&](const model::Delta& delta) {
    result.deltas.reasoning += delta.reasoning;
    result.deltas.content += delta.content;
    result.deltas.call_text += delta.call_text;
  };
  for (std::size_t at = 0; at < bytes.size() && !reader.complete(); at += step) {
    add(reader.feed(bytes.substr(at, step)));
  }
  if (!reader.complete()) add(reader.end());
  result.reply = reader.finish(false);
  return result;
}

TEST(ReplyReader, ReadsReasoningContentAndCalls) {
  const std::string text =
      events({reasoning_chunk("I shall "), reasoning_chunk("look."), content_chunk("Looking"),
              call_chunk(0, "a1", "shell", ""), call_chunk(0, "", "", "{\"command\":"),
              call_chunk(0, "", "", "\"ls\"}"), call_chunk(1, "a2", "read", "{\"path\": \"x\"}"),
              finish_chunk("tool_calls"), usage_chunk(50, 40, 9), "[DONE]"});
  for (std::size_t step : {1, 2, 7, 64, 100000}) {
    const Read got = read(text, step);
    const model::Turn& turn = got.reply.turn;
    EXPECT_EQ(turn.stop, Stop::calls);
    EXPECT_EQ(turn.reasoning, "I shall look.");
    EXPECT_EQ(turn.content, "Looking");
    ASSERT_EQ(turn.calls.size(), 2u);
    EXPECT_EQ(turn.calls[0], (model::ToolCall{"a1", "shell", "{\"command\":\"ls\"}"}));
    EXPECT_EQ(turn.calls[1], (model::ToolCall{"a2", "read", "{\"path\": \"x\"}"}));
    EXPECT_EQ(got.deltas.reasoning, turn.reasoning);
    EXPECT_EQ(got.deltas.content, turn.content);
    EXPECT_EQ(got.reply.usage.prompt_tokens, 50);
    EXPECT_EQ(got.reply.usage.cached_tokens, 40);
    EXPECT_EQ(got.reply.usage.completion_tokens, 9);
  }
}

TEST(ReplyReader, TheMessageSentBackIsWhatTheServerSaid) {
  const Read got =
      read(events({reasoning_chunk("why", "reasoning"), content_chunk("h\u00e9 \"q\"\n"),
                   call_chunk(0, "a1", "shell", "{ \"command\" : \"ls\" }"),
                   finish_chunk("tool_calls"), "[DONE]"}));
  EXPECT_EQ(got.reply.message,
            "{\"role\":\"assistant\",\"content\":\"h\u00e9 \\\"q\\\"\\n\",\"reasoning\":\"why\","
            "\"tool_calls\":[{\"id\":\"a1\",\"type\":\"function\",\"function\":{\"name\":\"shell\","
            "\"arguments\":\"{ \\\"command\\\" : \\\"ls\\\" }\"}}]}");
  auto message = nlohmann::ordered_json::parse(got.reply.message);
  message.erase("reasoning");
  EXPECT_EQ(got.reply.without_reasoning, message.dump());
}

TEST(ReplyReader, ArgumentsThatAreNotAnObjectAreAProblemAndNeverEmptyArguments) {
  for (const std::string bad : {"{\"command\": \"rm", "[1]", "ls -l", "\"{}\"", "{} {}", "null"}) {
    const Read got = read(events({call_chunk(0, "a1", "shell", bad),
                                  call_chunk(1, "a2", "shell", "{\"command\":\"ls\"}"),
                                  finish_chunk("tool_calls"), "[DONE]"}));
    ASSERT_EQ(got.reply.turn.calls.size(), 2u);
    const model::ToolCall& call = got.reply.turn.calls[0];
    EXPECT_FALSE(call.problem.empty()) << bad;
    EXPECT_EQ(nlohmann::json::parse(call.arguments)["malformed_arguments"], bad);
    EXPECT_TRUE(got.reply.turn.calls[1].problem.empty());
  }
}

TEST(ReplyReader, DeepArgumentsAreAProblem) {
  const std::string deep = "{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  const Read got = read(events({call_chunk(0, "a1", "shell", deep), finish_chunk("tool_calls")}));
  EXPECT_FALSE(got.reply.turn.calls.at(0).problem.empty());
}

TEST(ReplyReader, ACallWithoutArgumentsHasNone) {
  const Read got = read(events({call_chunk(0, "a1", "status", ""), finish_chunk("tool_calls")}));
  EXPECT_EQ(got.reply.turn.calls.at(0), (model::ToolCall{"a1", "status", "{}"}));
}

TEST(ReplyReader, CallsWithoutIndexOrIdAreToldApart) {
  const auto without_index = [](const std::string& call) {
    return R"({"choices":[{"delta":{"tool_calls":[)" + call + "]}}]}";
  };
  const std::string no_index =
      without_index(R"({"id":"x","function":{"name":"a","arguments":"{}"}})");
  const std::string no_index2 =
      without_index(R"({"id":"y","function":{"name":"b","arguments":{"k":1}}})");
  const Read got = read(events({no_index, no_index2, finish_chunk("stop")}));
  ASSERT_EQ(got.reply.turn.calls.size(), 2u);
  EXPECT_EQ(got.reply.turn.calls[1].arguments, "{\"k\":1}");

  const Read same_index = read(events(
      {call_chunk(0, "p", "a", "{}"), call_chunk(0, "q", "b", "{}"), finish_chunk("tool_calls")}));
  ASSERT_EQ(same_index.reply.turn.calls.size(), 2u);
  EXPECT_EQ(same_index.reply.turn.calls[1].name, "b");

  const Read no_id = read(events(
      {call_chunk(0, "", "a", "{}"), call_chunk(1, "", "b", "{}"), finish_chunk("tool_calls")}));
  ASSERT_EQ(no_id.reply.turn.calls.size(), 2u);
  EXPECT_NE(no_id.reply.turn.calls[0].id, no_id.reply.turn.calls[1].id);
}

TEST(ReplyReader, AReplyCutAtMaxTokensHasNoCalls) {
  const Read got = read(events({content_chunk("x"), call_chunk(0, "a1", "shell", "{\"command\""),
                                finish_chunk("length"), "[DONE]"}));
  EXPECT_EQ(got.reply.turn.stop, Stop::length);
  EXPECT_TRUE(got.reply.turn.calls.empty());
  EXPECT_FALSE(got.reply.turn.problem.empty());
  EXPECT_EQ(got.reply.message.find("tool_calls"), std::string::npos);
}

TEST(ReplyReader, BabbleIsCut) {
  std::string babble;
  for (int i = 0; i < 1000; ++i) babble += events({content_chunk("blah ")});
  const Read by_tokens = read(babble, 100, {.max_tokens = 50});
  EXPECT_EQ(by_tokens.reply.turn.stop, Stop::length);
  EXPECT_LT(by_tokens.reply.turn.content.size(), 300u);
  const Read by_bytes = read(babble, 100, {.bytes = 1000});
  EXPECT_EQ(by_bytes.reply.turn.stop, Stop::length);
  EXPECT_LT(by_bytes.reply.turn.content.size(), 1100u);
}

TEST(ReplyReader, EventsWithoutTextEndToo) {
  ReplyReader reader("", {.bytes = 100});
  for (int i = 0; i < 10000 && !reader.complete(); ++i) reader.feed(events({content_chunk("")}));
  EXPECT_TRUE(reader.complete());
}

TEST(ReplyReader, AWholeJsonReplyIsAReplyToo) {
  const std::string body = R"({"choices":[{"message":{"role":"assistant","content":"hi",
      "reasoning_content":"r"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}})";
  for (std::size_t step : {1, 1000}) {
    const Read got = read(body, step, {}, "application/json");
    EXPECT_EQ(got.reply.turn.content, "hi");
    EXPECT_EQ(got.reply.turn.reasoning, "r");
    EXPECT_EQ(got.reply.usage.prompt_tokens, 3);
  }
}

TEST(ReplyReader, BrokenStreamsAreErrorsThatSaySo) {
  const auto fails = [](std::string_view bytes, std::string_view type = "text/event-stream") {
    try {
      read(bytes, 10, {}, type);
    } catch (const RuntimeError& failed) {
      EXPECT_EQ(failed.code(), kModelError);
      return std::string(failed.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(fails(events({"{\"choices\":[{"})).find("cannot be read"), std::string::npos);
  EXPECT_NE(fails(events({"[1]"})).find("cannot be read"), std::string::npos);
  EXPECT_NE(fails(events({content_chunk("a")})).find("in the middle"), std::string::npos);
  EXPECT_NE(fails("").find("without a reply"), std::string::npos);
  EXPECT_NE(fails("<html>", "text/html").find("text/html"), std::string::npos);
  EXPECT_NE(fails("{}", "application/json").find("no reply"), std::string::npos);
  EXPECT_NE(fails(events({R"({"error":{"message":"out of memory"}})"})).find("out of memory"),
            std::string::npos);
  EXPECT_NE(fails(events({finish_chunk("insufficient_system_resource")})).find("broke off"),
            std::string::npos);
}

TEST(ReplyReader, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  const Read got =
      read(events({"{\"choices\":[{\"delta\":{\"content\":\"a\xFF"
                   "b\"}}]}",
                   finish_chunk("stop")}));
  EXPECT_EQ(got.reply.turn.content,
            "a\xEF\xBF\xBD"
            "b");
}

}  // namespace
}  // namespace corvid::runtime
