// What holds whichever API a request comes by: streams that are kept alive, refusals and faults in
// the API's own shape, several calls at once, seeds, and reasoning that is no longer needed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/runtime/serving.h"

namespace corvid::runtime {
namespace {

using namespace std::chrono_literals;
using model::Thinking;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Api {
  std::string path;
  Json body;
  Thinking thinking;  // what the body asks for
  std::string last;   // of a stream
};

const Json kUser = Json::parse(R"([{"role": "user", "content": "hi"}])");

std::vector<Api> apis() {
  return {{"/v1/chat/completions", {{"messages", kUser}}, Thinking::on, "[DONE]"},
          {"/v1/messages", {{"messages", kUser}}, Thinking::off, "message_stop"},
          {"/v1/responses", {{"input", kUser}}, Thinking::on, "response.completed"},
          {"/v1/completions", {{"prompt", "hi"}}, Thinking::off, "[DONE]"}};
}

// All that has come, when it has this in it.
void read_until(TestClient& client, std::string& text, std::string_view part) {
  while (text.find(part) == text.npos) {
    const std::string more = client.read_some();
    ASSERT_NE(more, "") << text;
    text += more;
  }
}

TEST(ServeEveryApi, AStreamThatWaitsOrReadsItsPromptIsKeptAlive) {
  for (Api& api : apis()) {
    SCOPED_TRACE(api.path);
    ServeOptions options;
    options.running = 1;
    options.keep_alive = 1ms;
    TestServer server(std::move(options));
    for (int i = 0; i < 2; ++i) server.says(saying("ok"), api.thinking);
    Gate gate(server);
    api.body["stream"] = true;
    TestClient running(server.port()), waiting(server.port());
    std::string told[2];
    running.request("POST", api.path, api.body.dump());
    gate.arrived.get_future().wait();  // nothing has been said
    server.on_token(nullptr);
    waiting.request("POST", api.path, api.body.dump());
    for (int i = 0; i < 2; ++i) {
      read_until(i ? waiting : running, told[i], ": waiting\n\n");
      EXPECT_THAT(told[i], HasSubstr("200 OK"));
      EXPECT_THAT(told[i], HasSubstr("text/event-stream"));
    }
    gate.opened.set_value();
    read_until(running, told[0], api.last);
    read_until(waiting, told[1], api.last);
  }
}

TEST(ServeEveryApi, WhatIsTooMuchIsRefusedInItsShapeAndSaysWhenToComeBack) {
  ServeOptions options;
  options.running = options.waiting = 0;
  TestServer server(std::move(options));
  for (Api& api : apis()) {
    for (const bool stream : {false, true}) {
      api.body["stream"] = stream;
      const HttpResponse response = server.post(api.path, api.body);
      EXPECT_EQ(response.status, 429) << api.path;
      EXPECT_TRUE(response.has("Retry-After: 5\r\n"));
      EXPECT_EQ(response.json()["error"]["type"], "rate_limit_error");
      EXPECT_EQ(response.json().contains("type"), api.path == "/v1/messages");
    }
  }
}

// By these words agents know that they have to make the conversation shorter.
TEST(ServeEveryApi, APromptThatIsTooLongIsRefusedInTheWordsOfBothVendors) {
  TestServer server;
  for (Api& api : apis()) {
    const char* field = api.body.contains("prompt") ? "prompt" : "messages";
    const std::string text(50'000, 'x');
    api.body[field] = text;
    if (*field == 'm') api.body[field] = {{{"role", "user"}, {"content", text}}};
    if (api.path == "/v1/responses") api.body["input"] = text;
    const HttpResponse response = server.post(api.path, api.body);
    EXPECT_EQ(response.status, 400) << api.path;
    const Json error = response.json()["error"];
    EXPECT_THAT(error["message"], HasSubstr("prompt is too long: "));
    EXPECT_THAT(error["message"], HasSubstr("maximum context length is 4096 tokens"));
    EXPECT_EQ(error.value("code", ""), api.path == "/v1/messages" ? "" : "context_length_exceeded");
  }
}

TEST(ServeEveryApi, AFaultOfTheModelIsToldInItsShapeAndEndsThatReplyAlone) {
  TestServer server;
  for (Api& api : apis()) {
    SCOPED_TRACE(api.path);
    for (const bool stream : {false, true}) {
      api.body["stream"] = stream;
      server.says(saying("one two three"), api.thinking);
      server.on_token([](int n) {
        if (n == 3) throw std::runtime_error("a fault");
      });
      const HttpResponse response = server.post(api.path, api.body);
      EXPECT_EQ(response.status, stream ? 200 : 500);
      const Json last = Json::parse(stream ? response.events().back() : response.body);
      if (stream && api.path == "/v1/responses") {
        EXPECT_EQ(last["type"], "response.failed");
        EXPECT_EQ(last["response"]["status"], "failed");
        EXPECT_EQ(last["response"]["error"],
                  Json({{"code", "server_error"}, {"message", "a fault"}}));
      } else {
        const bool anthropic = api.path == "/v1/messages";
        EXPECT_EQ(last["error"]["type"], anthropic ? "api_error" : "server_error");
        EXPECT_EQ(last["error"]["message"], "a fault");
        if (stream && anthropic) {
          EXPECT_EQ(response.events("error").size(), 1u);
        }
      }
      server.on_token(nullptr);
      server.says(saying("ok"), api.thinking);
      EXPECT_EQ(server.post(api.path, api.body).status, 200);
    }
  }
}

// --- Calls. --------------------------------------------------------------------------------------

model::Turn two_calls() {
  model::Turn turn = calling("shell", R"({"command": "ls"})", "Both.");
  turn.calls.push_back({"", "shell", R"({"command": "pwd"})"});
  return turn;
}

Api with_shell(Api api) {
  const Json schema = Json::parse(R"({"type": "object", "properties": {"command": {"type":
      "string"}}, "required": ["command"]})");
  Json tool = {
      {"type", "function"}, {"name", "shell"}, {"input_schema", schema}, {"parameters", schema}};
  tool["function"] = {{"name", "shell"}, {"parameters", schema}};
  api.body["tools"] = Json::array({tool});
  return api;
}

// What each call of a streamed reply is given, by its place.
std::map<int, std::string> streamed_arguments(const HttpResponse& response) {
  std::map<int, std::string> arguments;
  for (const std::string& data : response.events()) {
    const Json event = Json::parse(data);
    if (event["type"] == "content_block_delta" && event["delta"].contains("partial_json")) {
      arguments[event["index"]] += event["delta"]["partial_json"].get<std::string>();
    }
    if (event["type"] == "response.function_call_arguments.delta") {
      arguments[event["output_index"]] += event["delta"].get<std::string>();
    }
  }
  return arguments;
}

// Chat completions: ServeChat.ArgumentsAreTheSameStreamedAndWhole.
TEST(ServeEveryApi, SeveralCallsOfOneReplyComeOneAfterTheOther) {
  TestServer server;
  for (const std::string path : {"/v1/messages", "/v1/responses"}) {
    SCOPED_TRACE(path);
    Api api = with_shell(apis()[path == "/v1/messages" ? 1 : 2]);
    server.says(two_calls(), api.thinking);
    const Json whole = server.post(path, api.body).json();
    const Json& items = whole[path == "/v1/messages" ? "content" : "output"];
    std::vector<Json> called;
    for (const Json& item : items) {
      if (item.contains("input")) called.push_back(item["input"]);
      if (item.contains("arguments"))
        called.push_back(Json::parse(item["arguments"].get<std::string>()));
    }
    EXPECT_THAT(called, ElementsAre(Json({{"command", "ls"}}), Json({{"command", "pwd"}})))
        << whole;
    server.says(two_calls(), api.thinking);
    api.body["stream"] = true;
    const auto streamed = streamed_arguments(server.post(path, api.body));
    const int first = static_cast<int>(items.size()) - 2;
    EXPECT_THAT(streamed, ElementsAre(std::pair(first, R"({"command": "ls"})"),
                                      std::pair(first + 1, R"({"command": "pwd"})")));
  }
}

// The built-in model itself, under the rule.
TEST(ServeEveryApi, ARequiredCallIsMadeAndNoneWhereNoneMayBe) {
  TestServer server;
  const auto calls_of = [&](Api api, const Json& choice) {
    api = with_shell(std::move(api));
    api.body["tool_choice"] = choice;
    api.body["max_tokens"] = api.body["max_output_tokens"] = 300;
    return server.post(api.path, api.body).body;
  };
  const Api messages = apis()[1], responses = apis()[2];
  for (const Json& choice :
       {Json({{"type", "any"}}), Json({{"type", "tool"}, {"name", "shell"}})}) {
    EXPECT_THAT(calls_of(messages, choice), HasSubstr(R"("stop_reason":"tool_use")"));
  }
  EXPECT_THAT(calls_of(messages, {{"type", "none"}}), Not(HasSubstr(R"("tool_use")")));
  for (const Json& choice : {Json("required"), Json({{"type", "function"}, {"name", "shell"}})}) {
    EXPECT_THAT(calls_of(responses, choice), HasSubstr(R"("type":"function_call")"));
  }
  EXPECT_THAT(calls_of(responses, "none"), Not(HasSubstr(R"("function_call")")));
}

// --- What the model says. ------------------------------------------------------------------------

// The built-in model itself: nothing is scripted where its end is ignored.
TEST(ServeEveryApi, ASeedRepeatsAReplyAndAnotherDoesNot) {
  TestServer server;
  Json body = {{"prompt", "a"}, {"max_tokens", 30}, {"temperature", 2}, {"ignore_eos", true}};
  const auto said = [&](int seed) {
    body["seed"] = seed;
    const Json answer = server.post("/v1/completions", body).json();
    EXPECT_EQ(answer["usage"]["completion_tokens"], 30) << answer;
    EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
    return answer["choices"][0]["text"].get<std::string>();
  };
  std::set<std::string> all;
  for (int seed = 0; seed < 8; ++seed) {
    const std::string text = said(seed);
    EXPECT_EQ(said(seed), text);
    all.insert(text);
  }
  EXPECT_GT(all.size(), 1u);
}

TEST(ServeEveryApi, BiasAndPenaltiesChangeWhatIsSaid) {
  TestServer server;
  const auto said = [&](const Json& more) {
    Json body = {{"prompt", "a"}, {"max_tokens", 60}, {"temperature", 0}, {"ignore_eos", true}};
    body.update(more);
    return server.post("/v1/completions", body).json()["choices"][0]["text"].get<std::string>();
  };
  const auto token = [&](const char* text) {
    const auto tokens = server.scripted.model.tokenizer->encode(text);
    EXPECT_EQ(tokens.size(), 1u);
    return std::to_string(tokens[0]);
  };
  const auto count = [](const std::string& text, char c) { return std::ranges::count(text, c); };
  EXPECT_EQ(said({{"logit_bias", {{token("x"), 100}}}}), std::string(60, 'x'));
  // Two letters that alone may be said: each time that one is, the other is the likelier for it.
  const Json both = {{"logit_bias", {{token("x"), 100}, {token("y"), 100}}}};
  Json fair = both;
  fair["frequency_penalty"] = 2;
  const std::string letters = said(fair);
  EXPECT_EQ(count(letters, 'x') + count(letters, 'y'), 60);
  EXPECT_GT(count(letters, 'x'), 15);
  EXPECT_GT(count(letters, 'y'), 15);
}

TEST(ServeEveryApi, AStopTextIsNamedByMessages) {
  TestServer server;
  server.says(saying("one two three"), Thinking::off);
  const Json message =
      server.post("/v1/messages", {{"messages", kUser}, {"stop_sequences", {"two"}}}).json();
  EXPECT_EQ(message["stop_reason"], "stop_sequence");
  EXPECT_EQ(message["stop_sequence"], "two");
  EXPECT_EQ(message["content"][0]["text"], "one ");
}

// A conversation with one call and its result; after that the answer and another question, when
// `over`. With the reasoning that its client kept, or without.
Json conversation(const std::string& path, bool over, bool reasoning) {
  Json messages = kUser;
  const auto add = [&](Json message) { messages.push_back(std::move(message)); };
  const std::string thought = "A long thought about what there is to do.";
  if (path == "/v1/messages") {
    Json said = Json::array();
    if (reasoning) said.push_back({{"type", "thinking"}, {"thinking", thought}, {"signature", ""}});
    Json answer = said;
    said.push_back({{"type", "tool_use"}, {"id", "1"}, {"name", "f"}, {"input", Json::object()}});
    answer.push_back({{"type", "text"}, {"text", "a"}});
    add({{"role", "assistant"}, {"content", said}});
    const Json result = {{"type", "tool_result"}, {"tool_use_id", "1"}, {"content", "r"}};
    add({{"role", "user"}, {"content", Json::array({result})}});
    if (over) add({{"role", "assistant"}, {"content", answer}});
  } else if (path == "/v1/responses") {
    const Json part = {{"type", "reasoning_text"}, {"text", thought}};
    const Json item = {
        {"type", "reasoning"}, {"summary", Json::array()}, {"content", Json::array({part})}};
    if (reasoning) add(item);
    add({{"type", "function_call"}, {"call_id", "1"}, {"name", "f"}, {"arguments", "{}"}});
    add({{"type", "function_call_output"}, {"call_id", "1"}, {"output", "r"}});
    if (reasoning && over) add(item);
    if (over) add({{"role", "assistant"}, {"content", "a"}});
  } else {
    Json call = {{"id", "1"}, {"type", "function"}};
    call["function"] = {{"name", "f"}, {"arguments", "{}"}};
    Json said = {{"role", "assistant"}, {"tool_calls", Json::array({call})}};
    Json answer = {{"role", "assistant"}, {"content", "a"}};
    if (reasoning) said["reasoning_content"] = answer["reasoning_content"] = thought;
    add(said);
    add({{"role", "tool"}, {"tool_call_id", "1"}, {"content", "r"}});
    if (over) add(answer);
  }
  if (over) messages.push_back(kUser[0]);
  return messages;
}

// The model's rule: reasoning counts until the next question and is dropped then.
TEST(ServeEveryApi, ReasoningThatAClientKeepsTooLongIsTrimmedByTheModelsRule) {
  TestServer server;
  for (Api& api : apis()) {
    if (api.path == "/v1/completions") continue;
    SCOPED_TRACE(api.path);
    const auto prompt_tokens = [&](bool over, bool reasoning) {
      server.says(saying("ok"));
      api.body[api.path == "/v1/responses" ? "input" : "messages"] =
          conversation(api.path, over, reasoning);
      api.body["thinking"] = {{"type", "enabled"}};
      const Json usage = server.post(api.path, api.body).json()["usage"];
      return usage.value("prompt_tokens", 0) + usage.value("input_tokens", 0) +
             usage.value("cache_read_input_tokens", 0);
    };
    EXPECT_EQ(prompt_tokens(true, true), prompt_tokens(true, false));
    EXPECT_GT(prompt_tokens(false, true), prompt_tokens(false, false));
  }
}

}  // namespace
}  // namespace corvid::runtime
