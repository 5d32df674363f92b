// No request pays twice for a prefix, whichever API it comes by and whatever the client makes of
// its history.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/runtime/serving.h"
#include "tests/scratch_folder.h"

namespace corvid::runtime {
namespace {

struct Counts {
  int prompt = 0, cached = 0, reply = 0;
};

// One API's way to go on with a conversation: the body of the next request.
class Conversation {
 public:
  virtual ~Conversation() = default;
  virtual std::string path() const = 0;
  // Takes in an answer and adds the result of its call.
  virtual void go_on(const Json& answer, const std::string& result) = 0;
  virtual Counts counts(const Json& answer) const = 0;
  Json body;
};

class ChatConversation : public Conversation {
 public:
  ChatConversation() {
    body = Json::parse(R"({"messages": [{"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Count to ten."}], "tools": [{"type": "function",
        "function": {"name": "shell", "parameters": {"type": "object", "properties":
        {"command": {"type": "string"}, "timeout": {"type": "integer"}}}}}]})");
  }
  std::string path() const override { return "/v1/chat/completions"; }
  void go_on(const Json& answer, const std::string& result) override {
    Json message = answer["choices"][0]["message"];
    const Json id = message["tool_calls"][0]["id"];
    mangle(message);
    body["messages"].push_back(message);
    body["messages"].push_back({{"role", "tool"}, {"tool_call_id", id}, {"content", result}});
  }
  Counts counts(const Json& answer) const override {
    const Json& usage = answer["usage"];
    return {usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"],
            usage["completion_tokens"]};
  }
  virtual void mangle(Json&) const {}
};

// Drops the reasoning, prints the arguments anew, in another order and with a default filled in,
// has null for no content.
class ForgetfulConversation : public ChatConversation {
  void mangle(Json& message) const override {
    message.erase("reasoning_content");
    message["content"] = nullptr;
    Json& arguments = message["tool_calls"][0]["function"]["arguments"];
    const Json parsed = Json::parse(arguments.get<std::string>());
    Json reversed = {{"background", false}};
    for (auto member = parsed.rbegin(); member != parsed.rend(); ++member) {
      reversed[member.key()] = member.value();
    }
    arguments = reversed.dump(2);
  }
};

class MessagesConversation : public Conversation {
 public:
  MessagesConversation() {
    body = Json::parse(R"({"max_tokens": 1000, "thinking": {"type": "adaptive"},
        "system": [{"type": "text", "text": "x-anthropic-billing-header: cch=1"},
                   {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Count to ten."}]},
        {"role": "system", "content": [{"type": "text", "text": "You are at home."}]}],
        "tools": [{"name": "shell", "input_schema": {"type": "object", "properties":
        {"command": {"type": "string"}, "timeout": {"type": "integer"}}}},
        {"type": "web_search_20250305", "name": "web_search"}]})");
  }
  std::string path() const override { return "/v1/messages?beta=true"; }
  void go_on(const Json& answer, const std::string& result) override {
    body["system"][0]["text"] = "x-anthropic-billing-header: cch=" + std::to_string(++n_);
    body["messages"][0]["content"] = "Count to ten.";
    body["messages"][1]["content"] = "You are at home.";
    body["messages"].push_back({{"role", "assistant"}, {"content", answer["content"]}});
    const Json& call = answer["content"].back();
    const Json text = {{"type", "text"}, {"text", result}};
    const Json block = {{"type", "tool_result"},
                        {"tool_use_id", call["id"]},
                        {"content", n_ % 2 ? Json::array({text}) : Json(result)}};
    const Json reminder = {{"type", "text"}, {"text", "<system-reminder>Go on."}};
    body["messages"].push_back({{"role", "user"}, {"content", Json::array({block, reminder})}});
  }
  Counts counts(const Json& answer) const override {
    const Json& usage = answer["usage"];
    const int cached = usage["cache_read_input_tokens"];
    return {usage["input_tokens"].get<int>() + cached, cached, usage["output_tokens"]};
  }

 private:
  int n_ = 0;
};

class ResponsesConversation : public Conversation {
 public:
  ResponsesConversation() {
    body = Json::parse(R"({"input": [{"type": "message", "role": "developer", "content":
        [{"type": "input_text", "text": "Be brief."}]}, {"role": "user", "content":
        "Count to ten."}], "tools": [{"type": "namespace", "name": "os", "tools": [
        {"type": "function", "name": "shell", "parameters": {"type": "object", "properties":
        {"command": {"type": "string"}, "timeout": {"type": "integer"}}}}]},
        {"type": "web_search"}], "include": ["reasoning.encrypted_content"], "store": false})");
  }
  std::string path() const override { return "/v1/responses"; }
  void go_on(const Json& answer, const std::string& result) override {
    for (Json item : answer["output"]) {
      if (item["type"] == "reasoning") item.erase("content");  // only what is encrypted
      body["input"].push_back(item);
    }
    body["input"].push_back({{"type", "function_call_output"},
                             {"call_id", answer["output"].back()["call_id"]},
                             {"output", result}});
  }
  Counts counts(const Json& answer) const override {
    const Json& usage = answer["usage"];
    return {usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"],
            usage["output_tokens"]};
  }
};

class ServePrefix : public testing::TestWithParam<std::shared_ptr<Conversation> (*)()> {};

TEST_P(ServePrefix, InATurnOfTenCallsEveryTokenIsPrefilledOnce) {
  TestServer server;
  const auto conversation = GetParam()();
  const bool in_namespace = conversation->path() == "/v1/responses";
  Counts before;
  for (int i = 0; i < 10; ++i) {
    const std::string arguments =
        R"({"command": "echo )" + std::to_string(i) + R"(", "timeout": 5})";
    server.says(calling(in_namespace ? "os.shell" : "shell", arguments,
                        "Step " + std::to_string(i) + ", I think."));
    const HttpResponse response = server.post(conversation->path(), conversation->body);
    ASSERT_EQ(response.status, 200) << response.body;
    const Counts counts = conversation->counts(response.json());
    // All but the two last tokens, which ended the call and the reply: the network has not seen
    // them.
    const int known = i > 0 ? before.prompt + before.reply - 2 : 0;
    EXPECT_EQ(counts.cached, known) << response.body;
    before = counts;
    conversation->go_on(response.json(), std::to_string(i) + "\n[exit 0]");
  }
  EXPECT_EQ(server.rows(), before.prompt + before.reply - 2);
}

template <typename T>
std::shared_ptr<Conversation> make() {
  return std::make_shared<T>();
}

INSTANTIATE_TEST_SUITE_P(Clients, ServePrefix,
                         testing::Values(make<ChatConversation>, make<ForgetfulConversation>,
                                         make<MessagesConversation>, make<ResponsesConversation>));

TEST(ServeHealing, AnEditedCallIsTakenAsTheClientHasIt) {
  TestServer server;
  ChatConversation conversation;
  server.says(calling("shell", R"({"command": "rm x"})", "Away with it."));
  const Json first = server.post(conversation.path(), conversation.body).json();
  conversation.go_on(first, "removed");
  conversation.body["messages"][2]["tool_calls"][0]["function"]["arguments"] =
      R"({"command": "ls"})";
  server.says(saying("ok"));
  const Json second = server.post(conversation.path(), conversation.body).json();
  const Counts counts = conversation.counts(second);
  EXPECT_LT(counts.cached,
            conversation.counts(first).prompt + conversation.counts(first).reply - 2);
  EXPECT_GE(counts.cached, conversation.counts(first).prompt);
}

TEST(ServeHealing, AnotherUsersCallsAndContextsAreOutOfReach) {
  ServeOptions options;
  options.access.keys = {"a", "b"};
  TestServer server(std::move(options));
  ChatConversation conversation;
  conversation.body["prompt_cache_key"] = "the one of the other";
  const auto post = [&](const char* key) {
    const std::string header = "X-Api-Key: " + std::string(key) + "\r\n";
    return server.post(conversation.path(), conversation.body, header).json();
  };
  server.says(calling("shell", R"({"command": "ls"})", "The secret is 7."));
  const Json first = post("a");
  conversation.go_on(first, "nothing");
  conversation.body["messages"][2].erase("reasoning_content");
  for (const char* text : {"ok", "ok"}) server.says(saying(text));
  const Counts stranger = conversation.counts(post("b"));
  const Counts owner = conversation.counts(post("a"));
  EXPECT_EQ(stranger.cached, 0);
  EXPECT_LT(stranger.prompt, owner.prompt);  // without the reasoning
  EXPECT_GT(owner.cached, 0);
}

TEST(ServeHealing, SideRequestsDoNotEvictAConversation) {
  ServeOptions options;
  options.contexts.contexts = 3;
  TestServer server(std::move(options));
  ChatConversation conversation;
  for (int i = 0; i < 2; ++i) {
    server.says(calling("shell", R"({"command": "ls"})", "I look."));
    conversation.go_on(server.post(conversation.path(), conversation.body).json(), "x");
  }
  for (int i = 0; i < 5; ++i) {
    server.says(saying("A title"));
    const Json title = {{"role", "user"}, {"content", std::to_string(i) + ": find a title"}};
    server.post(conversation.path(), {{"messages", Json::array({title})}});
  }
  server.says(saying("Done."));
  const Json answer = server.post(conversation.path(), conversation.body).json();
  const Json& usage = answer["usage"];
  EXPECT_LT(usage["prompt_cache_miss_tokens"], 40);
  EXPECT_GT(usage["prompt_cache_hit_tokens"], 100);
}

// Agents of one kind begin with the same long instructions.
TEST(ServeHealing, AConversationThatBeginsAlikeDoesNotEvictAnother) {
  ServeOptions options;
  options.contexts.contexts = 3;
  TestServer server(std::move(options));
  ChatConversation first;
  first.body["messages"][0]["content"] = std::string(600, 'x');
  Json known;
  for (int i = 0; i < 2; ++i) {
    server.says(calling("shell", R"({"command": "ls"})", "I look."));
    known = server.post(first.path(), first.body).json();
    first.go_on(known, "x");
  }
  for (int i = 0; i < 4; ++i) {
    ChatConversation other;
    other.body["messages"][0]["content"] = std::string(600, 'x');
    other.body["messages"][1]["content"] = "Count to " + std::to_string(i);
    server.says(saying("One, two."));
    const Json answer = server.post(other.path(), other.body).json();
    EXPECT_GT(answer["usage"]["prompt_cache_hit_tokens"], 100);
  }
  server.says(saying("Done."));
  const Json answer = server.post(first.path(), first.body).json();
  EXPECT_EQ(first.counts(answer).cached,
            first.counts(known).prompt + first.counts(known).reply - 2);
}

// A conversation whose instructions are so many times "You are NAME."
ChatConversation agent(const std::string& name, int length) {
  ChatConversation agent;
  std::string text;
  for (int i = 0; i < length; ++i) text += "You are " + name + ". ";
  agent.body["messages"][0]["content"] = text;
  return agent;
}

// All that the last request said and was answered, but for the two tokens that ended it.
int known_after(const Conversation& conversation, const Json& answer) {
  const Counts counts = conversation.counts(answer);
  return counts.prompt + counts.reply - 2;
}

// The call ends as no prompt of another conversation does, unless it is told to end like them.
Json step(TestServer& server, Conversation& conversation,
          const char* arguments = R"({"command": "ls", "timeout": 5})") {
  server.says(calling("shell", arguments, "I look."));
  const HttpResponse response = server.post(conversation.path(), conversation.body);
  EXPECT_EQ(response.status, 200) << response.body;
  conversation.go_on(response.json(), "x");
  return response.json();
}

TEST(ServeHealing, MoreTitlesThanContextsDoNotEvictAConversationThatHasBegun) {
  TestServer server;
  ChatConversation main = agent("main", 100);
  const Json first = step(server, main);
  for (int i = 0; i < 20; ++i) {
    server.says(saying("Sunny days"));
    const Json title = {{"role", "user"}, {"content", std::to_string(i) + ": find a title"}};
    server.post(main.path(), {{"messages", Json::array({title})}});
  }
  EXPECT_EQ(main.counts(step(server, main)).cached, known_after(main, first));
}

TEST(ServeHealing, MoreSubAgentsThanContextsDoNotEvictWhoStartedThem) {
  const ScratchFolder folder;
  for (const bool on_disk : {false, true}) {
    ServeOptions options;
    if (on_disk) {
      options.contexts.snapshots =
          std::make_shared<memory::Snapshots>(folder / "kv", "model", std::uint64_t{1} << 30);
    }
    TestServer server(std::move(options));
    ChatConversation main = agent("main", on_disk ? 10 : 100);
    step(server, main);
    const Json second = step(server, main);
    for (int i = 0; i < 17; ++i) {
      ChatConversation other = agent(std::to_string(i), 20);
      step(server, other);
      step(server, other);
    }
    EXPECT_EQ(main.counts(step(server, main)).cached, known_after(main, second)) << on_disk;
  }
}

TEST(ServeHealing, OldConversationsMakeRoomForANewOne) {
  ServeOptions options;
  options.contexts.contexts = 4;
  TestServer server(std::move(options));
  for (int i = 0; i < 4; ++i) {
    ChatConversation old = agent(std::to_string(i), 60);
    step(server, old);
    step(server, old);
  }
  ChatConversation fresh = agent("new", 20);
  const Json first = step(server, fresh);
  EXPECT_EQ(fresh.counts(step(server, fresh)).cached, known_after(fresh, first));
}

TEST(ServeHealing, ALongConversationThatNobodyGoesOnWithGoesSomeDay) {
  ServeOptions options;
  options.contexts.contexts = 2;
  TestServer server(std::move(options));
  ChatConversation old = agent("old", 200), a = agent("a", 20), b = agent("b", 20);
  step(server, old);
  step(server, old);
  bool found = false;
  Json last = step(server, a);
  for (int i = 0; i < 15 && !found; ++i) {
    step(server, b);
    const int known = known_after(a, last);
    last = step(server, a);
    found = a.counts(last).cached == known;
  }
  EXPECT_TRUE(found);
}

// The tokens that end a call stand in every list of tools.
TEST(ServeHealing, AConversationThatBeginsIsNotTakenForAnotherThatEndedInACall) {
  ServeOptions options;
  options.contexts.contexts = 3;
  TestServer server(std::move(options));
  constexpr const char* kArguments = R"({"command": "ls"})";
  ChatConversation main = agent("main", 100);
  step(server, main, kArguments);
  const Json second = step(server, main, kArguments);
  for (int i = 0; i < 4; ++i) {
    ChatConversation other = agent(std::to_string(i), 20);
    step(server, other, kArguments);
  }
  EXPECT_EQ(main.counts(step(server, main)).cached, known_after(main, second));
}

TEST(ServeHealing, WithADiskAConversationIsKeptThereFromItsFirstRequest) {
  const ScratchFolder folder;
  ServeOptions options;
  options.contexts.contexts = 1;
  options.contexts.snapshots =
      std::make_shared<memory::Snapshots>(folder / "kv", "model", std::uint64_t{1} << 30);
  TestServer server(std::move(options));
  ChatConversation main = agent("main", 80), other = agent("other", 90);
  const Json first = step(server, main);
  step(server, other);
  EXPECT_EQ(main.counts(step(server, main)).cached, known_after(main, first));
}

TEST(ServeHealing, OrphansAreRefused) {
  TestServer server;
  ChatConversation conversation;
  conversation.body["messages"].push_back(
      {{"role", "tool"}, {"tool_call_id", "call_forged"}, {"content", "x"}});
  EXPECT_EQ(server.post(conversation.path(), conversation.body).status, 400);
}

}  // namespace
}  // namespace corvid::runtime
