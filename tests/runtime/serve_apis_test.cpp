// The shapes of /v1/messages, /v1/responses, /v1/completions and the small pages, on the real
// server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/runtime/serving.h"
#include "tests/scratch_folder.h"

namespace corvid::runtime {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> event_types(const HttpResponse& response) {
  std::vector<std::string> types;
  for (const std::string& data : response.events()) {
    const std::string type = Json::parse(data)["type"];
    if (types.empty() || types.back() != type) types.push_back(type);  // deltas come in any number
  }
  return types;
}

// --- /v1/messages --------------------------------------------------------------------------------

Json message_body() {
  return Json::parse(R"({"model": "corvid", "max_tokens": 500, "thinking": {"type": "enabled",
      "budget_tokens": 100}, "messages": [{"role": "user", "content": "List the files."}],
      "tools": [{"name": "shell", "description": "Runs", "input_schema": {"type": "object",
      "properties": {"command": {"type": "string"}}, "required": ["command"]}}]})");
}

TEST(ServeMessages, AnswersWithThinkingTextAndCalls) {
  TestServer server;
  model::Turn turn = calling("shell", R"({"command": "ls"})", "I look.");
  turn.content = "Looking.";
  server.says(turn);
  const Json message = server.post("/v1/messages", message_body()).json();
  EXPECT_EQ(message["type"], "message");
  EXPECT_EQ(message["stop_reason"], "tool_use");
  const Json& content = message["content"];
  ASSERT_EQ(content.size(), 3u) << message;
  EXPECT_EQ(content[0]["thinking"], "I look.");
  EXPECT_EQ(content[1]["text"], "Looking.");
  EXPECT_EQ(content[2]["name"], "shell");
  EXPECT_EQ(content[2]["input"], Json({{"command", "ls"}}));
}

TEST(ServeMessages, StreamsBlocksInOrder) {
  TestServer server;
  server.says(calling("shell", R"({"command": "ls"})", "I look."));
  Json body = message_body();
  body["stream"] = true;
  const HttpResponse response = server.post("/v1/messages", body);
  EXPECT_THAT(event_types(response),
              ElementsAre("message_start", "content_block_start", "content_block_delta",
                          "content_block_stop", "content_block_start", "content_block_delta",
                          "content_block_stop", "message_delta", "message_stop"));
  std::string thinking, signature, arguments;
  for (const std::string& data : response.events("content_block_delta")) {
    const Json delta = Json::parse(data)["delta"];
    thinking += delta.value("thinking", "");
    signature += delta.value("signature", "");
    arguments += delta.value("partial_json", "");
  }
  EXPECT_EQ(thinking, "I look.");
  EXPECT_FALSE(signature.empty());
  EXPECT_EQ(arguments, R"({"command": "ls"})");
  const Json end = Json::parse(response.events("message_delta")[0]);
  EXPECT_EQ(end["delta"]["stop_reason"], "tool_use");
  EXPECT_GT(end["usage"]["output_tokens"], 0);
}

TEST(ServeMessages, WithoutThinkingThereIsNone) {
  TestServer server;
  server.says(saying("Two files."), model::Thinking::off);
  Json body = message_body();
  body.erase("thinking");
  const Json message = server.post("/v1/messages", body).json();
  ASSERT_EQ(message["content"].size(), 1u) << message;
  EXPECT_EQ(message["content"][0]["text"], "Two files.");
}

TEST(ServeMessages, TheBeginningOfAReplyIsGoneOnWith) {
  TestServer server;
  server.says(saying("b\": 1}"), model::Thinking::off);
  Json body = message_body();
  body.erase("tools");
  body["messages"].push_back({{"role", "assistant"}, {"content", "{\"a"}});
  const Json message = server.post("/v1/messages", body).json();
  EXPECT_EQ(message["content"][0]["text"], "b\": 1}");
}

TEST(ServeMessages, CountsTokensAsARequestHasThem) {
  TestServer server;
  server.says(saying("ok"));
  const Json body = message_body();
  const Json counted = server.post("/v1/messages/count_tokens", body).json();
  const Json usage = server.post("/v1/messages", body).json()["usage"];
  EXPECT_EQ(counted["input_tokens"], usage["input_tokens"]);
}

TEST(ServeMessages, NullEmptyTextAndBlocksAreTheSamePrompt) {
  TestServer server;
  const auto tokens = [&](const Json& said) {
    Json body = Json::parse(R"({"messages": [{"role": "user", "content": "a"}, {"role":
        "assistant", "content": ""}, {"role": "user", "content": "b"}]})");
    body["messages"][1]["content"] = said;
    const HttpResponse response = server.post("/v1/messages/count_tokens", body);
    EXPECT_EQ(response.status, 200) << response.body;
    return response.json();
  };
  const Json blocks = Json::parse(R"([{"type": "text", "text": ""}])");
  for (const Json& none : {Json(), Json(Json::array()), blocks}) {
    EXPECT_EQ(tokens(none), tokens("")) << none;
  }
}

TEST(ServeMessages, ErrorsHaveItsShape) {
  TestServer server;
  const HttpResponse response = server.post("/v1/messages", {{"messages", 5}});
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.json()["type"], "error");
  EXPECT_EQ(response.json()["error"]["type"], "invalid_request_error");
  EXPECT_EQ(response.json()["error"]["message"], "messages: not an array");
}

// --- /v1/responses -------------------------------------------------------------------------------

Json response_body() {
  return Json::parse(R"({"model": "corvid", "input": "List the files.", "instructions": "Be brief.",
      "tools": [{"type": "function", "name": "shell", "parameters": {"type": "object",
      "properties": {"command": {"type": "string"}}}}, {"type": "custom", "name": "patch"}]})");
}

TEST(ServeResponses, AnswersWithEveryRequiredField) {
  TestServer server;
  server.says(saying("Two.", "Hm."));
  const Json response = server.post("/v1/responses", response_body()).json();
  for (const char* field : {"id",
                            "object",
                            "created_at",
                            "completed_at",
                            "status",
                            "incomplete_details",
                            "model",
                            "previous_response_id",
                            "instructions",
                            "output",
                            "error",
                            "tools",
                            "tool_choice",
                            "truncation",
                            "parallel_tool_calls",
                            "text",
                            "top_p",
                            "presence_penalty",
                            "frequency_penalty",
                            "top_logprobs",
                            "temperature",
                            "reasoning",
                            "usage",
                            "max_output_tokens",
                            "max_tool_calls",
                            "store",
                            "background",
                            "service_tier",
                            "metadata",
                            "safety_identifier",
                            "prompt_cache_key"}) {
    EXPECT_TRUE(response.contains(field)) << field;
  }
  EXPECT_EQ(response["status"], "completed");
  EXPECT_EQ(response["instructions"], "Be brief.");
  ASSERT_EQ(response["output"].size(), 2u);
  EXPECT_EQ(response["output"][0]["content"][0]["text"], "Hm.");
  EXPECT_EQ(response["output"][1]["content"][0]["text"], "Two.");
}

TEST(ServeResponses, StreamsItsEventsInTheOrderThatClientsCheck) {
  TestServer server;
  model::Turn turn = calling("shell", R"({"command": "ls"})", "I look.");
  turn.content = "Looking.";
  server.says(turn);
  Json body = response_body();
  body["stream"] = true;
  const HttpResponse response = server.post("/v1/responses", body);
  EXPECT_THAT(
      event_types(response),
      ElementsAre("response.created", "response.in_progress", "response.output_item.added",
                  "response.content_part.added", "response.reasoning_text.delta",
                  "response.reasoning_text.done", "response.content_part.done",
                  "response.output_item.done", "response.output_item.added",
                  "response.content_part.added", "response.output_text.delta",
                  "response.output_text.done", "response.content_part.done",
                  "response.output_item.done", "response.output_item.added",
                  "response.function_call_arguments.delta", "response.function_call_arguments.done",
                  "response.output_item.done", "response.completed"));
  int sequence = 0;
  for (const std::string& data : response.events()) {
    EXPECT_EQ(Json::parse(data)["sequence_number"], sequence++);
  }
  const Json last = Json::parse(response.events().back())["response"];
  EXPECT_EQ(last["output"][2]["arguments"], R"({"command": "ls"})");
  std::string arguments;
  for (const std::string& data : response.events("response.function_call_arguments.delta")) {
    arguments += Json::parse(data)["delta"].get<std::string>();
  }
  EXPECT_EQ(arguments, R"({"command": "ls"})");
  EXPECT_GT(last["usage"]["output_tokens_details"]["reasoning_tokens"], 0);
}

TEST(ServeResponses, ACustomToolIsCalledWithItsText) {
  TestServer server;
  server.says(calling("patch", R"({"input": "*** Begin"})"));
  const Json response = server.post("/v1/responses", response_body()).json();
  const Json& item = response["output"].back();
  EXPECT_EQ(item["type"], "custom_tool_call");
  EXPECT_EQ(item["input"], "*** Begin");
}

TEST(ServeResponses, ACustomToolsTextStreamsAsItIsWritten) {
  TestServer server;
  const std::string text = "*** Begin\n+say \"hi\" \\ ✓ \U0001F426\n*** End";
  const std::string delta = "response.custom_tool_call_input.delta";
  const HttpResponse response = server.post_held(
      "/v1/responses", response_body(), calling("patch", Json({{"input", text}}).dump()), delta);
  const auto pieces = response.events(delta);
  std::string told;
  for (const std::string& piece : pieces) told += Json::parse(piece)["delta"];
  EXPECT_EQ(told, text);
  const auto done = response.events("response.custom_tool_call_input.done");
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(Json::parse(done[0])["input"], text);
  const auto items = response.events("response.output_item.done");
  EXPECT_EQ(Json::parse(items.back())["item"]["input"], text);
}

TEST(ServeResponses, CutShortItIsIncomplete) {
  TestServer server;
  server.says(saying("one two three four"));
  Json body = response_body();
  body["max_output_tokens"] = 1;
  const Json response = server.post("/v1/responses", body).json();
  EXPECT_EQ(response["status"], "incomplete");
  EXPECT_EQ(response["incomplete_details"]["reason"], "max_output_tokens");
}

TEST(ServeResponses, ACallThatIsCutShortIsIncompleteAndNoneOfTheOutput) {
  TestServer server;
  server.says(calling("shell", R"({"command": "ls -l a b c d e f g h i j k l m n o p"})"));
  Json body = response_body();
  body["stream"] = true;
  body["max_output_tokens"] = 40;
  const HttpResponse response = server.post("/v1/responses", body);
  const auto items = response.events("response.output_item.done");
  ASSERT_FALSE(items.empty()) << response.body;
  EXPECT_EQ(Json::parse(items.back())["item"]["status"], "incomplete");
  EXPECT_EQ(response.events("response.incomplete").size(), 1u);
}

TEST(ServeResponses, OneThatFailsAtOnceIsCreatedFirst) {
  TestServer server;
  server.says(saying("ok"));
  server.on_token([](int) { throw std::runtime_error("a fault"); });
  const HttpResponse response = server.post("/v1/responses", {{"input", "hi"}, {"stream", true}});
  std::vector<std::string> types;
  for (const std::string& data : response.events()) types.push_back(Json::parse(data)["type"]);
  EXPECT_THAT(types, ElementsAre("response.created", "response.in_progress", "response.failed"));
}

TEST(ServeResponses, StoredStateIsRefusedClearly) {
  TestServer server;
  Json body = response_body();
  body["previous_response_id"] = "resp_1";
  const HttpResponse response = server.post("/v1/responses", body);
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.json()["error"]["param"], "previous_response_id");
}

// --- /v1/completions and the small pages ---------------------------------------------------------

TEST(ServeCompletions, GoesOnWithAText) {
  TestServer server;
  for (const bool stream : {false, true}) {
    server.says(saying(" world. And more"), model::Thinking::off);
    const HttpResponse response =
        server.post("/v1/completions",
                    {{"prompt", "Hello"}, {"stop", "And"}, {"max_tokens", 50}, {"stream", stream}});
    ASSERT_EQ(response.status, 200) << response.body;
    std::string text;
    if (stream) {
      for (const std::string& data : response.events()) {
        if (data != "[DONE]") text += Json::parse(data)["choices"][0]["text"].get<std::string>();
      }
    } else {
      text = response.json()["choices"][0]["text"];
    }
    EXPECT_EQ(text, " world. ");
  }
}

// Nothing in it is a call, a reasoning or a fence: it is what was said, byte for byte.
TEST(ServeCompletions, WhatLooksLikeAConversationIsText) {
  TestServer server;
  const std::string said =
      " \n<think> x </think>\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"shell\">\n"
      "<｜DSML｜parameter name=\"command\" string=\"true\">ls</｜DSML｜parameter>\n"
      "</｜DSML｜invoke>\n</｜DSML｜function_calls> and on.\n";
  const LocalModel& model = server.scripted.model;
  std::vector<model::Token> tokens = model.tokenizer->encode(said);
  tokens.push_back(*model.tokenizer->special(model.format->syntax().ends()[0]));
  for (const bool stream : {false, true}) {
    server.on_io_thread([&] { server.scripted.script.push_back(tokens); });
    const HttpResponse response = server.post(
        "/v1/completions", {{"prompt", "Hello"}, {"max_tokens", 500}, {"stream", stream}});
    std::string text, finish;
    if (stream) {
      for (const std::string& data : response.events()) {
        if (data == "[DONE]") continue;
        const Json choice = Json::parse(data)["choices"][0];
        text += choice["text"].get<std::string>();
        if (!choice["finish_reason"].is_null()) finish = choice["finish_reason"];
      }
    } else {
      text = response.json()["choices"][0]["text"];
      finish = response.json()["choices"][0]["finish_reason"];
    }
    EXPECT_EQ(text, said);
    EXPECT_EQ(finish, "stop");
  }
}

TEST(ServePages, TokensComeAndGo) {
  TestServer server;
  const std::string text = "Größe <｜User｜> 3";
  const Json tokens = server.post("/tokenize", {{"content", text}}).json()["tokens"];
  EXPECT_THAT(tokens, Not(Contains(*server.scripted.model.tokenizer->special("<｜User｜>"))));
  EXPECT_EQ(server.post("/detokenize", {{"tokens", tokens}}).json()["content"], text);
  const HttpResponse refused = server.post("/detokenize", {{"tokens", {1, 99'999'999}}});
  EXPECT_EQ(refused.json()["error"]["param"], "tokens[1]");
}

TEST(ServePages, MetricsAndTheLogHaveNumbersAndNoText) {
  std::string log;
  ServeOptions options;
  options.log = [&log](const std::string& line) { log += line + "\n"; };
  TestServer server(std::move(options));
  server.says(saying("a secret answer"), model::Thinking::off);
  server.post("/v1/completions", {{"prompt", "a secret question"}});
  const HttpResponse metrics = server.get("/metrics");
  EXPECT_THAT(metrics.body, HasSubstr("corvid_replies_total 1\n"));
  EXPECT_THAT(metrics.body, HasSubstr("corvid_requests_running 0\n"));
  EXPECT_THAT(metrics.body, Not(HasSubstr("secret")));
  server.on_io_thread([&] { EXPECT_THAT(log, AllOf(Not(IsEmpty()), Not(HasSubstr("secret")))); });
}

TEST(ServePages, TheModelIsListed) {
  TestServer server;
  const Json models = server.get("/v1/models").json();
  EXPECT_EQ(models["data"][0]["id"], "corvid");
  EXPECT_GT(models["data"][0]["context_length"], 1000);
  EXPECT_EQ(server.get("/v1/models/corvid").json(), models["data"][0]);
  EXPECT_EQ(server.get("/v1/models/another").status, 404);
}

// --- What cannot be read -------------------------------------------------------------------------

// A picture that a tool gave back would be sent with every request to come.
TEST(ServeResults, APictureInAResultIsReadAsAWordAboutIt) {
  TestServer server;
  for (int i = 0; i < 3; ++i) server.says(saying("ok"));
  const Json chat = Json::parse(R"({"messages": [{"role": "user", "content": "u"}, {"role":
      "assistant", "tool_calls": [{"id": "1", "function": {"name": "f"}}]}, {"role": "tool",
      "tool_call_id": "1", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]})");
  const Json messages = Json::parse(R"({"thinking": {"type": "adaptive"}, "messages": [{"role":
      "user", "content": "u"}, {"role": "assistant", "content": [{"type": "tool_use", "id": "1",
      "name": "f", "input": {}}]}, {"role": "user", "content": [{"type": "tool_result",
      "tool_use_id": "1", "content": [{"type": "image", "source": {}}]}]}]})");
  const Json responses = Json::parse(R"({"input": [{"role": "user", "content": "u"}, {"type":
      "function_call", "call_id": "1", "name": "f", "arguments": "{}"}, {"type":
      "function_call_output", "call_id": "1", "output": [{"type": "input_image"}]}]})");
  EXPECT_EQ(server.post("/v1/chat/completions", chat).status, 200);
  EXPECT_EQ(server.post("/v1/messages", messages).status, 200);
  EXPECT_EQ(server.post("/v1/responses", responses).status, 200);
}

TEST(ServeResults, APictureOfTheUserIsReadAsAWordAboutIt) {
  TestServer server;
  const auto post = [&](const char* path, const char* list, const char* parts) {
    server.says(saying("ok"));
    Json message = {{"role", "user"}, {"content", Json::parse(parts)}};
    return server.post(path, {{list, Json::array({message})}}).status;
  };
  EXPECT_EQ(post("/v1/messages", "messages", R"([{"type": "image", "source": {}}])"), 200);
  EXPECT_EQ(post("/v1/messages", "messages", R"([{"type": "document", "source": {}}])"), 200);
  EXPECT_EQ(post("/v1/messages", "messages", R"([{"type": "picture"}])"), 400);
  EXPECT_EQ(post("/v1/chat/completions", "messages", R"([{"type": "image_url"}])"), 200);
  EXPECT_EQ(post("/v1/chat/completions", "messages", R"([{"type": "picture"}])"), 400);
  EXPECT_EQ(post("/v1/responses", "input", R"([{"type": "input_image"}])"), 200);
  EXPECT_EQ(post("/v1/responses", "input", R"([{"type": "picture"}])"), 400);
}

// Tools and items that only the vendor's server knows.
TEST(ServeResponses, ToolsThatRunElsewhereAreLeftOut) {
  TestServer server;
  server.says(calling("f", "{}", "I think."));
  Json body = Json::parse(R"({"input": [{"role": "user", "content": "u"}, {"type":
      "web_search_call", "id": "ws_1"}, {"type": "local_shell_call", "call_id": "l", "action": {}},
      {"type": "local_shell_call_output", "id": "l", "output": "{}"}, {"type": "compaction",
      "encrypted_content": "x"}], "tools": [{"type": "function", "name": "f"}]})");
  for (const char* type : {"local_shell", "shell", "apply_patch", "web_search", "file_search",
                           "code_interpreter", "image_generation", "mcp", "tool_search"}) {
    body["tools"].push_back({{"type", type}});
  }
  const HttpResponse response = server.post("/v1/responses", body);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.json()["output"].back()["name"], "f");
}

// --- What stays ----------------------------------------------------------------------------------

// The model's call; the conversation goes on with it and its result.
Json call_of(TestServer& server, Json& body) {
  server.says(calling("shell", R"({"command": "ls"})", "A thought."));
  const Json message = server.post("/v1/messages", body).json();
  body["messages"].push_back({{"role", "assistant"}, {"content", message["content"]}});
  const Json result = {{"type", "tool_result"},
                       {"tool_use_id", message["content"].back()["id"]},
                       {"content", "a b"}};
  body["messages"].push_back({{"role", "user"}, {"content", Json::array({result})}});
  return message;
}

TEST(ServeRestart, AnotherConversationTakesNothingFromAStoredOne) {
  const ScratchFolder folder;
  const ScriptedModel scripted;
  Json body = message_body();
  body["system"] = "Be brief. " + std::string(300, 'x');
  Json other = body;
  other["messages"][0]["content"] = "Another question.";
  int n_tokens = 0;
  for (int i = 0; i < 2; ++i) {  // each with a server of its own
    ServeOptions options;
    options.contexts.snapshots = std::make_shared<memory::Snapshots>(
        folder.path(), scripted.model.engine->fingerprint(), 1u << 30);
    TestServer server(std::move(options));
    if (i > 0) server.says(saying("It is new."));
    if (i > 0) {
      EXPECT_GT(server.post("/v1/messages", other).json()["usage"]["cache_read_input_tokens"], 50);
    }
    for (int j = 0; j < 2; ++j) {
      const Json message = call_of(server, body);
      const Json& usage = message["usage"];
      const int cached = usage["cache_read_input_tokens"];
      EXPECT_EQ(cached, std::max(0, n_tokens - 2)) << message;
      n_tokens = usage["input_tokens"].get<int>() + cached + usage["output_tokens"].get<int>();
    }
  }
}

TEST(ServeRestart, AConversationOutlivesOneThatBeganLikeIt) {
  const ScratchFolder folder;
  const ScriptedModel scripted;
  Json body = message_body();
  body["system"] = "Be brief. " + std::string(300, 'x');
  Json other = body;
  other["messages"][0]["content"] = "Another question.";
  int cached[3];
  for (int i = 0; i < 3; ++i) {  // each with a server of its own, of which the second has only one
    ServeOptions options;
    options.contexts.snapshots = std::make_shared<memory::Snapshots>(
        folder.path(), scripted.model.engine->fingerprint(), 1u << 30);
    TestServer server(std::move(options));
    const Json message = call_of(server, i == 1 ? other : body);
    cached[i] = message["usage"]["cache_read_input_tokens"];
  }
  EXPECT_EQ(cached[0], 0);
  EXPECT_GT(cached[1], 50);
  EXPECT_GT(cached[2], cached[1] + 10);  // the call, too
}

TEST(ServeRestart, TheNextRequestPrefillsOnlyWhatIsNew) {
  const ScratchFolder folder;
  Json body = message_body();
  int n_tokens = 0;
  for (int i = 0; i < 4; ++i) {  // each with a server of its own
    ServeOptions options;
    const ScriptedModel scripted;
    options.contexts.snapshots = std::make_shared<memory::Snapshots>(
        folder.path(), scripted.model.engine->fingerprint(), 1u << 30);
    TestServer server(std::move(options));
    if (i < 2) {
      server.says(calling("shell", R"({"command": "ls"})", "A secret thought."));
      server.says(calling("shell", R"({"command": "pwd"})", "Another one."));
    } else {
      server.says(saying("Done."));
    }
    for (int j = 0; j < (i < 2 ? 2 : 1); ++j) {
      const Json message = server.post("/v1/messages", body).json();
      const Json& usage = message["usage"];
      EXPECT_EQ(usage["cache_read_input_tokens"], std::max(0, n_tokens - 2)) << message;
      const int cached = usage["cache_read_input_tokens"];
      n_tokens = usage["input_tokens"].get<int>() + cached + usage["output_tokens"].get<int>();
      Json said = message["content"];
      if (said[0]["type"] == "thinking") said.erase(0);
      body["messages"].push_back({{"role", "assistant"}, {"content", said}});
      if (said.empty() || said.back()["type"] != "tool_use") return;
      const Json result = {
          {"type", "tool_result"}, {"tool_use_id", said.back()["id"]}, {"content", "a b"}};
      body["messages"].push_back({{"role", "user"}, {"content", Json::array({result})}});
    }
  }
}

}  // namespace
}  // namespace corvid::runtime
