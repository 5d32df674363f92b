// /v1/chat/completions on the real server and the real engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/runtime/serving.h"

namespace corvid::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kPath = "/v1/chat/completions";

Json hello() {
  return {{"model", "corvid"}, {"messages", {{{"role", "user"}, {"content", "hello"}}}}};
}

Json shell_tool() {
  return Json::parse(R"({"type": "function", "function": {"name": "shell", "description": "Runs",
      "parameters": {"type": "object", "properties": {"command": {"type": "string"}},
                     "required": ["command"]}}})");
}

void add_call_part(Json& calls, const Json& part) {
  if (part["index"] == calls.size()) {
    calls.push_back(part);
    return;
  }
  Json& arguments = calls.at(part["index"].get<std::size_t>())["function"]["arguments"];
  arguments = arguments.get<std::string>() + part["function"]["arguments"].get<std::string>();
}

// The deltas of a stream, put together.
Json joined(const HttpResponse& response) {
  Json message{{"reasoning_content", ""}, {"content", ""}, {"tool_calls", Json::array()}};
  for (const std::string& data : response.events()) {
    if (data == "[DONE]") break;
    const Json chunk = Json::parse(data);
    if (chunk["choices"].empty()) continue;
    const Json& delta = chunk["choices"][0]["delta"];
    for (const char* key : {"reasoning_content", "content"}) {
      if (delta.contains(key)) {
        message[key] = message[key].get<std::string>() + delta[key].get<std::string>();
      }
    }
    if (delta.contains("tool_calls")) {
      for (const Json& part : delta["tool_calls"]) add_call_part(message["tool_calls"], part);
    }
    if (!chunk["choices"][0]["finish_reason"].is_null()) {
      message["finish_reason"] = chunk["choices"][0]["finish_reason"];
    }
  }
  return message;
}

TEST(ServeChat, AnswersWithReasoningContentAndUsage) {
  TestServer server;
  server.says(saying("Hello there.", "A greeting."));
  const HttpResponse response = server.post(kPath, hello());
  ASSERT_EQ(response.status, 200) << response.body;
  const Json body = response.json();
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "Hello there.");
  EXPECT_EQ(body["choices"][0]["message"]["reasoning_content"], "A greeting.");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  const Json& usage = body["usage"];
  EXPECT_GT(usage["completion_tokens_details"]["reasoning_tokens"], 0);
  EXPECT_EQ(usage["total_tokens"],
            usage["prompt_tokens"].get<int>() + usage["completion_tokens"].get<int>());
}

TEST(ServeChat, AStreamSaysTheSameAsAWholeAnswer) {
  TestServer server;
  for (int i = 0; i < 2; ++i) server.says(saying("Größe: 3.", "Let me\nthink."));
  Json body = hello();
  const Json whole = server.post(kPath, body).json()["choices"][0]["message"];
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const HttpResponse response = server.post(kPath, body);
  EXPECT_TRUE(response.has("text/event-stream"));
  const Json message = joined(response);
  EXPECT_EQ(message["content"], whole["content"]);
  EXPECT_EQ(message["reasoning_content"], whole["reasoning_content"]);
  EXPECT_EQ(message["finish_reason"], "stop");
  const auto events = response.events();
  ASSERT_GT(events.size(), 3u);
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_EQ(Json::parse(events[0])["choices"][0]["delta"]["role"], "assistant");
  const Json usage = Json::parse(events[events.size() - 2]);
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_GT(usage["usage"]["prompt_tokens_details"]["cached_tokens"], 0);  // the same prompt again
}

TEST(ServeChat, CallsHaveIdsAndArguments) {
  TestServer server;
  Json body = hello();
  body["tools"] = {shell_tool()};
  for (const bool stream : {false, true}) {
    server.says(calling("shell", R"({"command": "ls -l"})", "I look."));
    body["stream"] = stream;
    const HttpResponse response = server.post(kPath, body);
    const Json message = stream ? joined(response) : response.json()["choices"][0]["message"];
    ASSERT_EQ(message["tool_calls"].size(), 1u) << response.body;
    const Json& call = message["tool_calls"][0];
    EXPECT_THAT(call["id"].get<std::string>(), ::testing::StartsWith("call_"));
    EXPECT_EQ(call["function"]["name"], "shell");
    EXPECT_EQ(call["function"]["arguments"], R"({"command": "ls -l"})");
  }
}

TEST(ServeChat, ArgumentsAreTheSameStreamedAndWhole) {
  TestServer server;
  Json body = hello();
  body["tools"] = {shell_tool()};
  model::Turn turn = calling("shell", R"({"command": "cat > é.txt <<\"X\"\n\t\\u003c</a>\nX"})");
  turn.content = "Two calls.";
  turn.calls.push_back({"", "shell", R"({"command": "ls -l | sort", "timeout": -1.5})"});
  server.says(turn);
  const Json whole = server.post(kPath, body).json()["choices"][0]["message"];
  const Json parts = joined(server.post_held(kPath, body, turn, "tool_calls"));
  ASSERT_EQ(parts["tool_calls"].size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    const Json& streamed = parts["tool_calls"][i]["function"];
    EXPECT_EQ(streamed, whole["tool_calls"][i]["function"]);
    EXPECT_EQ(streamed["arguments"], turn.calls[i].arguments);
  }
}

TEST(ServeChat, AStopTextBeforeACallIsTheEnd) {
  TestServer server;
  Json body = hello();
  body["tools"] = {shell_tool()};
  body["stream"] = true;
  for (const char* stop : {"now", "now!"}) {
    model::Turn turn = calling("shell", R"({"command": "ls"})");
    turn.content = "I look now";
    server.says(turn);
    body["stop"] = stop;
    const Json message = joined(server.post(kPath, body));
    const bool found = std::string_view(stop) == "now";
    EXPECT_EQ(message["content"], found ? "I look " : "I look now");
    EXPECT_EQ(message["tool_calls"].size(), found ? 0u : 1u);
  }
}

TEST(ServeChat, NullEmptyTextAndPartsAreTheSamePrompt) {
  TestServer server;
  Json body = hello();
  body["messages"] = Json::parse(R"([{"role": "user", "content": "ab"},
      {"role": "assistant", "content": null},
      {"role": "user", "content": "c"}])");
  std::vector<int> counts;
  const std::vector<Json> alike = {nullptr, "", Json::array(),
                                   Json::parse(R"([{"type": "text", "text": ""}])")};
  for (const Json& content : alike) {
    server.says(saying("ok"));
    body["messages"][1]["content"] = content;
    body["messages"][0]["content"] =
        content.is_array()
            ? Json::parse(R"([{"type":"text","text":"a"},{"type":"text","text":"b"}])")
            : Json("ab");
    const Json usage = server.post(kPath, body).json()["usage"];
    counts.push_back(usage["prompt_tokens"].get<int>() -
                     usage["prompt_cache_hit_tokens"].get<int>());
  }
  EXPECT_THAT(counts, ElementsAre(counts[0], 1, 1, 1));  // one token runs again for its logits
}

TEST(ServeChat, StopTextsEndTheContentBeforeThem) {
  TestServer server;
  Json body = hello();
  body["stop"] = {"three", "never"};
  for (const bool stream : {false, true}) {
    server.says(saying("one two three four", "three"));
    body["stream"] = stream;
    const HttpResponse response = server.post(kPath, body);
    const Json message = stream ? joined(response) : response.json()["choices"][0]["message"];
    EXPECT_EQ(message["content"], "one two ");
    EXPECT_EQ(message["reasoning_content"], "three");
  }
}

// Newlines at the end are held back until it is known that no call follows.
TEST(ServeChat, AStopTextIsFoundInTheLastBytes) {
  TestServer server;
  Json body = hello();
  body["stop"] = "\n";
  for (const bool stream : {false, true}) {
    server.says(saying("one two\n"));
    body["stream"] = stream;
    const HttpResponse response = server.post(kPath, body);
    const Json message = stream ? joined(response) : response.json()["choices"][0]["message"];
    EXPECT_EQ(message["content"], "one two");
  }
}

TEST(ServeChat, MaxTokensCutsTheReply) {
  TestServer server;
  server.says(saying("one two three four", "hm"));
  Json body = hello();
  body["max_tokens"] = 2;
  const Json answer = server.post(kPath, body).json();
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(answer["usage"]["completion_tokens"], 2);
}

TEST(ServeChat, WhatIsWrongIsRefusedByItsField) {
  TestServer server;
  const auto field_of = [&](const char* key, const Json& value) {
    Json body = hello();
    body[key] = value;
    const HttpResponse response = server.post(kPath, body);
    EXPECT_EQ(response.status, 400) << key << ": " << value;
    const Json error = response.json()["error"];
    EXPECT_EQ(error["type"], "invalid_request_error");
    return error["param"].is_null() ? "" : error["param"].get<std::string>();
  };
  const Json huge = 1e300;
  for (const Json& bad : {Json(-1), Json(0), Json("7"), huge, Json(18446744073709551615ull)}) {
    EXPECT_EQ(field_of("max_tokens", bad), "max_tokens");
  }
  for (const Json& bad : {Json(-0.1), Json(3), Json("hot"), huge}) {
    EXPECT_EQ(field_of("temperature", bad), "temperature");
  }
  EXPECT_EQ(field_of("top_p", 1.5), "top_p");
  EXPECT_EQ(field_of("min_p", -1), "min_p");
  EXPECT_EQ(field_of("seed", 0.5), "seed");
  EXPECT_EQ(field_of("n", 2), "n");
  EXPECT_EQ(field_of("stop", 5), "stop");
  EXPECT_EQ(field_of("stream", "yes"), "stream");
  EXPECT_EQ(field_of("tools", Json::parse(R"([{"function": {"name": 3}}])")),
            "tools[0].function.name");
  EXPECT_EQ(field_of("messages", Json::parse(R"([{"role": "king"}])")), "messages[0].role");
  EXPECT_EQ(field_of("messages", Json::array()), "messages");
  EXPECT_EQ(field_of("messages", Json::parse(R"([{"role": "tool", "tool_call_id": "x"}])")),
            "messages");
  EXPECT_EQ(field_of("reasoning_effort", "heavy"), "reasoning_effort");
  EXPECT_EQ(field_of("frequency_penalty", "x"), "frequency_penalty");
  EXPECT_EQ(field_of("presence_penalty", 3), "presence_penalty");
  EXPECT_EQ(field_of("top_logprobs", "x"), "top_logprobs");
  EXPECT_EQ(field_of("logit_bias", 5), "logit_bias");
  for (const char* no_token : {"", "-1", "1.5", " 1", "the", "99999999", "99999999999999999999"}) {
    EXPECT_EQ(field_of("logit_bias", {{no_token, 1}}), "logit_bias");
  }
  EXPECT_EQ(field_of("logit_bias", {{"1", 101}}), "logit_bias.1");
  EXPECT_EQ(field_of("top_k", 0.5), "top_k");
  EXPECT_EQ(field_of("model", 5), "model");
  EXPECT_EQ(field_of("user", 5), "user");
}

TEST(ServeChat, UnknownFieldsAreIgnored) {
  TestServer server;
  server.says(saying("ok"));
  Json body = hello();
  body["cache_prompt"] = true;
  body["metadata"] = {{"a", {{"b", 1}}}};
  body["user"] = nullptr;
  EXPECT_EQ(server.post(kPath, body).status, 200);
}

// --- Rules, held by the built-in model itself. ---------------------------------------------------

Json ruled(const char* key, Json rule) {
  Json body = hello();
  body["thinking"] = {{"type", "disabled"}};
  body["max_tokens"] = 300;
  const Json parameters = Json::parse(
      R"({"type": "object", "properties": {"way": {"enum": ["left", "right"]}},
          "required": ["way"]})");
  for (const char* name : {"walk", "run"}) {
    body["tools"].push_back(
        {{"type", "function"}, {"function", {{"name", name}, {"parameters", parameters}}}});
  }
  body[key] = std::move(rule);
  return body;
}

TEST(ServeRules, ARequiredCallIsMade) {
  TestServer server;
  const Json named = {{"type", "function"}, {"function", {{"name", "run"}}}};
  for (const Json& choice : {Json("required"), named}) {
    const Json answer = server.post(kPath, ruled("tool_choice", choice)).json();
    const Json& message = answer["choices"][0]["message"];
    ASSERT_TRUE(message.contains("tool_calls")) << answer;
    const Json& function = message["tool_calls"][0]["function"];
    const Json arguments = Json::parse(function["arguments"].get<std::string>());
    EXPECT_TRUE(arguments["way"] == "left" || arguments["way"] == "right") << function;
    if (choice.is_object()) {
      EXPECT_EQ(function["name"], "run");
    }
  }
}

TEST(ServeRules, OnlyAllowedToolsAreCalled) {
  TestServer server;
  const Json run = {{"type", "function"}, {"function", {{"name", "run"}}}};
  Json choice = {{"type", "allowed_tools"},
                 {"allowed_tools", {{"mode", "required"}, {"tools", Json::array({run})}}}};
  const Json answer = server.post(kPath, ruled("tool_choice", choice)).json();
  EXPECT_EQ(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "run") << answer;
  choice["allowed_tools"]["tools"][0]["function"]["name"] = "fly";
  EXPECT_EQ(server.post(kPath, ruled("tool_choice", choice)).status, 400);

  Json body = {{"input", "hello"}, {"max_output_tokens", 300}, {"reasoning", {{"effort", "none"}}}};
  for (const char* name : {"walk", "run"}) {
    body["tools"].push_back({{"type", "function"}, {"name", name}});
  }
  body["tool_choice"] = {{"type", "allowed_tools"},
                         {"mode", "required"},
                         {"tools", {{{"type", "function"}, {"name", "run"}}}}};
  EXPECT_EQ(server.post("/v1/responses", body).json()["output"][0]["name"], "run");
}

TEST(ServeRules, AnUnknownToolCannotBeRequired) {
  TestServer server;
  const Json named = {{"type", "function"}, {"function", {{"name", "fly"}}}};
  EXPECT_EQ(server.post(kPath, ruled("tool_choice", named)).status, 400);
}

TEST(ServeRules, ContentIsJsonOfTheSchema) {
  TestServer server;
  const Json schema = Json::parse(R"({"type": "object", "properties": {"n": {"type": "integer"},
      "kind": {"enum": ["x", "y"]}}, "required": ["n", "kind"], "additionalProperties": false})");
  Json body = ruled("response_format", {{"type", "json_schema"},
                                        {"json_schema", {{"name", "a"}, {"schema", schema}}}});
  body.erase("tools");
  const Json answer = server.post(kPath, body).json();
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "stop") << answer;
  const Json content = Json::parse(answer["choices"][0]["message"]["content"].get<std::string>());
  EXPECT_TRUE(content["n"].is_number_integer()) << content;
  EXPECT_TRUE(content["kind"] == "x" || content["kind"] == "y") << content;
}

}  // namespace
}  // namespace corvid::runtime
