#include "model/text/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/error.h"

namespace corvid::model {
namespace {

using ::testing::HasSubstr;

std::string problem_of(std::string_view json) {
  try {
    read_conversation(json);
  } catch (const ModelError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Messages, ReadsAConversation) {
  const Conversation read = read_conversation(R"({
    "messages": [
      {"role": "system", "content": "S"},
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "assistant", "content": null, "reasoning_content": "R", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}}]},
      {"role": "tool", "tool_call_id": "1", "content": "T"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type":"object"}}}],
    "thinking": false})");
  ASSERT_EQ(read.messages.size(), 4u);
  EXPECT_EQ(read.messages[1].content, "ab");
  EXPECT_EQ(read.messages[2].reasoning, "R");
  EXPECT_EQ(read.messages[2].calls[0], (ToolCall{"1", "f", R"({"x": 1})"}));
  EXPECT_EQ(read.messages[3].call_id, "1");
  EXPECT_EQ(read.tools[0], (ToolSpec{"f", "", R"({"type": "object"})"}));
  EXPECT_EQ(read.thinking, Thinking::off);
}

// Of an object with very many names a tree that keeps their order would never be done; and a limit
// must not make the many parts of a long conversation dear.
TEST(Messages, ALongConversationIsReadAndAnObjectWithoutEndIsNot) {
  std::string messages = R"({"messages": [{"role": "user", "content": "x"})";
  for (int i = 0; i < 100'000; ++i) messages += R"(,{"role": "user", "content": "x"})";
  EXPECT_EQ(read_conversation(messages + "]}").messages.size(), 100'001u);
  std::string members = R"({"messages": [], "more": {"a": 0)";
  for (int i = 0; i < 20'000; ++i) members += ", \"" + std::to_string(i) + "\": 0";
  EXPECT_THAT(problem_of(members + "}}"), HasSubstr("too many members"));
}

TEST(Messages, WhatIsWrongIsNamedWithItsPlace) {
  EXPECT_THAT(problem_of("{"), HasSubstr("not JSON"));
  EXPECT_THAT(problem_of("[]"), HasSubstr("not an object"));
  EXPECT_THAT(problem_of("{}"), HasSubstr("'messages' is missing"));
  EXPECT_THAT(problem_of(R"({"messages": [{"content": "x"}]})"),
              HasSubstr("messages[0]: 'role' is missing"));
  EXPECT_THAT(problem_of(R"({"messages": [{"role": "king"}]})"), HasSubstr("messages[0].role"));
  EXPECT_THAT(problem_of(R"({"messages": [{"role": "user", "content": 3}]})"),
              HasSubstr("messages[0].content: not a string"));
  EXPECT_THAT(problem_of(R"({"messages": [{"role": "user", "content": [{"type": "image"}]}]})"),
              HasSubstr("messages[0].content[0]"));
  EXPECT_THAT(problem_of(R"({"messages": [{"role": "assistant", "tool_calls":
                          [{"function": {"name": "f", "arguments": "{"}}]}]})"),
              HasSubstr("messages[0].tool_calls[0].function.arguments"));
  EXPECT_THAT(problem_of(R"({"messages": [], "thinking": "yes"})"), HasSubstr("thinking"));
  EXPECT_THAT(problem_of(std::string(1000, '[')), HasSubstr("deeply"));
}

}  // namespace
}  // namespace corvid::model
