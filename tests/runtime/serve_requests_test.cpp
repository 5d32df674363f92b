// What requests ask for in the words of each API, read into the one ModelRequest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/error.h"
#include "runtime/serve/chat_completions.h"
#include "runtime/serve/completions.h"
#include "runtime/serve/messages.h"
#include "runtime/serve/responses.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;
using model::Thinking;
using Calls = model::ReplyRule::Calls;
using Reader = ApiCall (*)(const model::JsonField&, const std::string&);
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;

struct Api {
  Reader read;
  Json body;  // the least that is a request
};

const Json kUser = Json::parse(R"([{"role": "user", "content": "u"}])");

Api chat() {
  return {chat_completion, {{"messages", kUser}}};
}
Api messages() {
  return {message_call, {{"messages", kUser}}};
}
Api responses() {
  return {response_call, {{"input", "u"}}};
}
Api completions() {
  return {text_completion, {{"prompt", "u"}}};
}

ModelRequest read(const Api& api, const char* more) {
  Json body = api.body;
  body.update(Json::parse(more));
  const std::string text = body.dump();
  const model::JsonDocument document(text);
  return api.read(document.root(), "model").request;
}

Api with_tools(Api api) {
  for (const char* name : {"walk", "run"}) {
    Json tool = {{"type", "function"}, {"name", name}, {"input_schema", Json::object()}};
    tool["function"] = {{"name", name}};
    api.body["tools"].push_back(std::move(tool));
  }
  return api;
}

TEST(ServeRequests, ThinkingIsTurnedOnAndOffInEachApisWords) {
  for (const char* on :
       {"{}", R"({"reasoning_effort": "minimal"})", R"({"reasoning_effort": "low"})",
        R"({"reasoning_effort": "xhigh"})", R"({"reasoning": {"effort": "high"}})",
        R"({"thinking": {"type": "enabled"}})", R"({"reasoning_effort": "none", "thinking": true})",
        R"({"chat_template_kwargs": {"enable_thinking": true}})"}) {
    EXPECT_EQ(read(chat(), on).thinking, Thinking::on) << on;
  }
  for (const char* off :
       {R"({"reasoning_effort": "none"})", R"({"reasoning": {"effort": "none"}})",
        R"({"reasoning": {"enabled": false}})", R"({"thinking": {"type": "disabled"}})",
        R"({"chat_template_kwargs": {"thinking": false}})",
        R"({"chat_template_kwargs": {"enable_thinking": false}})"}) {
    EXPECT_EQ(read(chat(), off).thinking, Thinking::off) << off;
  }
  for (const char* on :
       {R"({"thinking": {"type": "enabled", "budget_tokens": 1024}})",
        R"({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}})"}) {
    EXPECT_EQ(read(messages(), on).thinking, Thinking::on) << on;
  }
  for (const char* off :
       {"{}", R"({"thinking": {"type": "disabled"}})",
        R"({"thinking": {"type": "adaptive"}, "output_config": {"effort": "none"}})"}) {
    EXPECT_EQ(read(messages(), off).thinking, Thinking::off) << off;
  }
  for (const char* on : {"{}", R"({"reasoning": {"effort": "low", "summary": "auto"}})"}) {
    EXPECT_EQ(read(responses(), on).thinking, Thinking::on) << on;
  }
  EXPECT_EQ(read(responses(), R"({"reasoning": {"effort": "none"}})").thinking, Thinking::off);
  EXPECT_EQ(read(completions(), "{}").text, "u");
}

TEST(ServeRequests, WhichCallsMayComeIsSaidInEachApisWords) {
  struct Case {
    Api api;
    const char *none, *needed, *named, *one;
  };
  const Case cases[] = {
      {chat(), R"({"tool_choice": "none"})", R"({"tool_choice": "required"})",
       R"({"tool_choice": {"type": "function", "function": {"name": "run"}}})",
       R"({"parallel_tool_calls": false})"},
      {responses(), R"({"tool_choice": "none"})", R"({"tool_choice": "required"})",
       R"({"tool_choice": {"type": "function", "name": "run"}})",
       R"({"parallel_tool_calls": false})"},
      {messages(), R"({"tool_choice": {"type": "none"}})", R"({"tool_choice": {"type": "any"}})",
       R"({"tool_choice": {"type": "tool", "name": "run"}})",
       R"({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}})"},
  };
  for (const Case& one : cases) {
    const Api api = with_tools(one.api);
    const ModelRequest free = read(api, "{}");
    EXPECT_EQ(free.rule, model::ReplyRule());
    EXPECT_EQ(free.tools.size(), 2u);
    EXPECT_EQ(read(api, one.none).rule.calls, Calls::none);
    EXPECT_EQ(read(api, one.needed).rule.calls, Calls::needed);
    EXPECT_THAT(read(api, one.needed).allowed_tools, IsEmpty());
    EXPECT_EQ(read(api, one.named).rule.calls, Calls::needed);
    EXPECT_THAT(read(api, one.named).allowed_tools, ElementsAre("run"));
    EXPECT_TRUE(read(api, one.one).rule.one_call);
    EXPECT_EQ(read(api, one.one).rule.calls, Calls::free);
    EXPECT_THROW(read(one.api, one.needed), model::ModelError);  // there are no tools
  }
}

TEST(ServeRequests, LimitsAndTheShapeOfTheContentAreReadInEachApisWords) {
  EXPECT_EQ(read(chat(), R"({"max_tokens": 7})").max_tokens, 7);
  EXPECT_EQ(read(chat(), R"({"max_tokens": 7, "max_completion_tokens": 8})").max_tokens, 8);
  EXPECT_EQ(read(messages(), R"({"max_tokens": 7})").max_tokens, 7);
  EXPECT_EQ(read(responses(), R"({"max_output_tokens": 7})").max_tokens, 7);
  EXPECT_EQ(read(completions(), R"({"max_tokens": 7})").max_tokens, 7);
  EXPECT_EQ(read(completions(), "{}").max_tokens, 16);

  EXPECT_THAT(read(chat(), R"({"stop": "x"})").stop_texts, ElementsAre("x"));
  EXPECT_THAT(read(completions(), R"({"stop": ["x", "y"]})").stop_texts, ElementsAre("x", "y"));
  EXPECT_THAT(read(messages(), R"({"stop_sequences": ["x"]})").stop_texts, ElementsAre("x"));

  for (const Api& api : {chat(), messages(), responses(), completions()}) {
    const ModelRequest request = read(
        api, R"({"temperature": 0.5, "top_p": 0.25, "min_p": 0.125, "seed": -1, "stream": true})");
    EXPECT_EQ(request.temperature, 0.5);
    EXPECT_EQ(request.top_p, 0.25);
    EXPECT_EQ(request.min_p, 0.125);
    EXPECT_EQ(request.seed, UINT64_MAX);
    EXPECT_TRUE(request.stream);
    const ModelRequest changed = read(api, R"({"presence_penalty": 0.5, "frequency_penalty": -1,
        "top_k": 40, "logit_bias": {"7": -100, "9": 0.5}})");
    EXPECT_EQ(changed.presence_penalty, 0.5);
    EXPECT_EQ(changed.frequency_penalty, -1);
    EXPECT_EQ(changed.top_k, 40);
    EXPECT_THAT(changed.logit_bias, ElementsAre(Pair(7, -100), Pair(9, 0.5)));
    EXPECT_EQ(read(api, R"({"top_k": -1})").top_k, 0);
    EXPECT_FALSE(read(api, "{}").seed);
    EXPECT_FALSE(read(api, "{}").ignore_end);
  }
  EXPECT_TRUE(read(completions(), R"({"ignore_eos": true})").ignore_end);

  const std::string schema = read(chat(), R"({"response_format": {"type": "json_schema",
      "json_schema": {"name": "a", "schema": {"type": "integer"}}}})")
                                 .rule.content_schema;
  EXPECT_EQ(Json::parse(schema), Json({{"type", "integer"}}));
  EXPECT_EQ(read(responses(), R"({"text": {"format": {"type": "json_schema", "name": "a",
      "schema": {"type": "integer"}}}})")
                .rule.content_schema,
            schema);
  for (const char* more :
       {R"({"output_config": {"format": {"type": "json_schema", "schema": {"type": "integer"}}}})",
        R"({"output_format": {"type": "json_schema", "schema": {"type": "integer"}}})"}) {
    EXPECT_EQ(read(messages(), more).rule.content_schema, schema);
  }
  const std::string any =
      read(chat(), R"({"response_format": {"type": "json_object"}})").rule.content_schema;
  EXPECT_EQ(Json::parse(any), Json({{"type", "object"}}));
  EXPECT_EQ(
      read(responses(), R"({"text": {"format": {"type": "json_object"}}})").rule.content_schema,
      any);
}

TEST(ServeRequests, WhatCannotBeDoneIsRefusedByItsField) {
  const auto field_of = [](const Api& api, const char* more) -> std::string {
    try {
      read(api, more);
    } catch (const model::ModelError& error) {
      return error.field();
    }
    return "";
  };
  EXPECT_EQ(field_of(completions(), R"({"n": 2})"), "n");
  EXPECT_EQ(field_of(completions(), R"({"best_of": 2})"), "best_of");
  EXPECT_EQ(field_of(completions(), R"({"echo": true})"), "echo");
  EXPECT_EQ(field_of(completions(), R"({"suffix": "after"})"), "suffix");
  EXPECT_EQ(field_of(completions(), R"({"logprobs": 1})"), "logprobs");
  EXPECT_EQ(field_of(completions(), R"({"suffix": "", "logprobs": null, "best_of": 1})"), "");
  EXPECT_EQ(field_of(chat(), R"({"logprobs": true})"), "logprobs");
  EXPECT_EQ(field_of(messages(), R"({"output_format": {"type": "xml"}})"), "output_format.type");
  EXPECT_EQ(field_of(responses(), R"({"conversation": "c"})"), "conversation");
  EXPECT_EQ(field_of(responses(), R"({"background": true})"), "background");
}

TEST(ServeRequests, WhatHasTheWrongTypeIsRefusedByItsFieldThoughItChangesNothing) {
  const auto problem_of = [](const Api& api, const char* more) -> std::string {
    try {
      read(api, more);
    } catch (const model::ModelError& error) {
      return error.what();
    }
    return "";
  };
  struct Case {
    Api api;
    const char *more, *field;
  };
  const Case cases[] = {
      {responses(), R"({"truncation": 7})", "truncation"},
      {responses(), R"({"truncation": "some"})", "truncation"},
      {responses(), R"({"store": "x"})", "store"},
      {responses(), R"({"max_tool_calls": -5})", "max_tool_calls"},
      {responses(), R"({"reasoning": {"summary": 7}})", "reasoning.summary"},
      {responses(), R"({"tool_choice": {}})", "tool_choice"},
      {responses(), R"({"tool_choice": {"type": "function"}})", "tool_choice"},
      {responses(),
       R"({"tool_choice": {"type": "allowed_tools", "tools": [{"type": "function"}]}})",
       "tool_choice.tools[0]"},
      {chat(), R"({"n_predict": -5})", "n_predict"},
      {chat(), R"({"n_predict": "x"})", "n_predict"},
      {chat(), R"({"thinking": {"type": "bogus"}})", "thinking.type"},
      {messages(), R"({"thinking": {"type": "bogus"}})", "thinking.type"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(problem_of(with_tools(one.api), one.more), StartsWith(one.field)) << one.more;
  }
  for (const char* fine :
       {R"({"truncation": "auto", "store": false, "max_tool_calls": 3, "reasoning": {"summary":
        "auto"}})",
        R"({"truncation": null, "store": null, "max_tool_calls": null, "reasoning": {"summary":
        null}})",
        R"({"tool_choice": {"type": "web_search_preview"}})"}) {
    EXPECT_EQ(problem_of(with_tools(responses()), fine), "") << fine;
  }
  EXPECT_EQ(read(chat(), R"({"n_predict": -1})").max_tokens, 0);
  EXPECT_EQ(read(chat(), R"({"n_predict": 7})").max_tokens, 7);
}

TEST(ServeRequests, ItemsBehindACallWithoutItsResultYetAreOfTheSameReply) {
  const ModelRequest request = read(responses(), R"({"input": [{"role": "user", "content": "u"},
      {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "one "}]},
      {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
      {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "two"}]},
      {"role": "assistant", "content": "said"},
      {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
      {"type": "function_call_output", "call_id": "a", "output": "1"},
      {"type": "function_call_output", "call_id": "b", "output": "2"},
      {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "three"}]},
      {"role": "assistant", "content": "done"}, {"role": "user", "content": "v"}]})");
  ASSERT_EQ(request.messages.size(), 6u);
  EXPECT_EQ(request.messages[1].reasoning, "one two");
  EXPECT_EQ(request.messages[1].content, "said");
  EXPECT_EQ(request.messages[1].calls.size(), 2u);
  EXPECT_EQ(request.messages[4].reasoning, "three");
  EXPECT_EQ(request.messages[4].content, "done");
}

TEST(ServeRequests, TheVendorsBillingLineIsLeftOutWhereverItStands) {
  const auto prompt = [](const char* more) {
    std::string text;
    for (const model::Message& message : read(messages(), more).messages) {
      text += message.content + "|";
    }
    return text;
  };
  for (const char* more :
       {R"({"system": "x-anthropic-billing-header: cch=1;\nBe brief."})",
        R"({"system": "x-anthropic-billing-header: cch=22;\n\nBe brief."})",
        R"({"system": [{"type": "text", "text": "x-anthropic-billing-header: cch=3"},
            {"type": "text", "text": "Be brief."}]})",
        R"({"system": [{"type": "text", "text": "x-anthropic-billing-header: cch=4\nBe brief."}]})",
        R"({"messages": [{"role": "system", "content":
            "x-anthropic-billing-header: cch=5\nBe brief."}, {"role": "user", "content": "u"}]})",
        R"({"messages": [{"role": "system", "content": [{"type": "text", "text":
            "x-anthropic-billing-header: cch=6"}, {"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": "u"}]})"}) {
    EXPECT_EQ(prompt(more), "Be brief.|u|") << more;
  }
  EXPECT_EQ(prompt(R"({"system": "x-anthropic-billing-header: cch=7"})"), "|u|");
}

}  // namespace
}  // namespace corvid::runtime
