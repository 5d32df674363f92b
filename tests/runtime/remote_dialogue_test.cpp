// A remote model as the session meets it: good replies, and every way in which a server fails.
#include "runtime/remote_dialogue.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/error.h"
#include "tests/runtime/model_server.h"

namespace corvid::runtime {
namespace {

using namespace corvid::tests;
using namespace std::chrono_literals;
using model::Stop;
using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

// One dialogue on a loop of its own.
class Client {
 public:
  explicit Client(RemoteOptions options)
      : dialogue_(make_remote_dialogue(io_.get_executor(), std::move(options))) {}
  explicit Client(const ModelServer& server) : Client(options_for(server)) {}

  static RemoteOptions options_for(const ModelServer& server) {
    RemoteOptions options;
    options.url = server.url() + "#scripted";
    return options;
  }

  Dialogue& dialogue() { return *dialogue_; }
  void user(std::string text) { dialogue_->append(UserText{std::move(text)}); }

  // `stop_at`: cancels when the text shown so far contains it.
  model::Turn reply(std::string stop_at = {}) {
    asio::cancellation_signal stop;
    std::exception_ptr failure;
    model::Turn turn;
    const OnDelta on_delta = [&](const ReplyProgress& progress) {
      shown += progress.delta.reasoning + progress.delta.content + progress.delta.call_text;
      if (!progress.waiting.empty()) waits.push_back(progress.waiting);
      if (!progress.notice.empty()) notices.push_back(progress.notice);
      const bool reached = shown.find(stop_at) != std::string::npos;
      if (!stop_at.empty() && reached) {
        asio::post(io_, [&] { stop.emit(asio::cancellation_type::terminal); });
      }
    };
    asio::co_spawn(io_, dialogue_->reply(on_delta),
                   asio::bind_cancellation_slot(stop.slot(),
                                                [&](std::exception_ptr failed, model::Turn spoken) {
                                                  failure = failed;
                                                  turn = std::move(spoken);
                                                }));
    io_.restart();
    const Clock::time_point start = Clock::now();
    while (io_.run_one()) {
    }
    took = Clock::now() - start;
    if (failure) std::rethrow_exception(failure);
    return turn;
  }

  // What the failure says; checks that it is one, and quick.
  std::string failure() {
    try {
      reply();
    } catch (const RuntimeError& failed) {
      EXPECT_EQ(failed.code(), kModelError);
      EXPECT_LT(took, 5s);
      return failed.what();
    }
    ADD_FAILURE() << "the reply did not fail";
    return {};
  }

  std::string shown;
  std::vector<std::string> waits, notices;
  Clock::duration took{};

 private:
  asio::io_context io_;
  std::unique_ptr<Dialogue> dialogue_;
};

testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no \"" << part << "\" in: " << text;
}

TEST(RemoteDialogue, StreamsAReply) {
  ModelServer server([](auto& out, const auto&, int) { out.say("It is done.", "Let me think."); });
  Client client(server);
  client.user("do it");
  const model::Turn turn = client.reply();
  EXPECT_EQ(turn.stop, Stop::end);
  EXPECT_EQ(turn.content, "It is done.");
  EXPECT_EQ(turn.reasoning, "Let me think.");
  EXPECT_EQ(client.shown, "Let me think.It is done.");
  EXPECT_EQ(turn.usage.prefilled, 10);
  EXPECT_EQ(turn.usage.reused, 90);
  EXPECT_EQ(turn.usage.generated, 10);
  EXPECT_EQ(client.dialogue().room().used_tokens, 110);
  EXPECT_TRUE(Json::parse(client.dialogue().verbatim()).contains("reasoning_content"));
}

TEST(RemoteDialogue, SixtyToolTurnsGrowOnePrefixOnOneConnection) {
  ModelServer server([](auto& out, const auto&, int n) {
    out.call("call_" + std::to_string(n), "shell", R"({"command": "echo hi"})",
             "step " + std::to_string(n));
  });
  Client client(server);
  client.dialogue().append(Opening{"system", {{"shell", "Runs.", R"({"type": "object"})"}}});
  client.user("go");
  for (int i = 0; i < 60; ++i) {
    const model::Turn turn = client.reply();
    ASSERT_EQ(turn.calls.size(), 1u);
    client.dialogue().append(Results{{{turn.calls[0].id, "hi\n[exit 0]"}}});
  }
  const auto posts = server.posts();
  ASSERT_EQ(posts.size(), 60u);
  for (std::size_t i = 1; i < posts.size(); ++i) {
    const std::string& before = posts[i - 1].body;
    EXPECT_TRUE(posts[i].body.starts_with(before.substr(0, before.size() - 2))) << i;
  }
  EXPECT_EQ(server.n_connections(), 1);
  EXPECT_EQ(server.n_model_lists(), 0);
}

TEST(RemoteDialogue, AsksForTheModelOnceWhenNobodyNamedOne) {
  ModelServer server([](auto& out, const auto&, int) { out.say("hi"); });
  server.models = R"({"data":[{"id":"DeepSeek-V3.2","owned_by":"vllm","max_model_len":163840},
                              {"id":"other"}]})";
  RemoteOptions options;
  options.url = server.url();
  Client client(options);
  for (int i = 0; i < 2; ++i) {
    client.user("hello");
    client.reply();
  }
  EXPECT_EQ(server.n_model_lists(), 1);
  EXPECT_EQ(client.dialogue().room().limit_tokens, 163840);
  const Json body = Json::parse(server.posts().at(0).body);
  EXPECT_EQ(body["model"], "DeepSeek-V3.2");
  EXPECT_EQ(body["chat_template_kwargs"]["thinking"], true);
  ASSERT_EQ(client.notices.size(), 1u);
  EXPECT_TRUE(contains(client.notices[0], "other"));
}

TEST(RemoteDialogue, RefusedConnectionsFailAtOnce) {
  RemoteOptions options;
  {
    ModelServer gone([](auto&, const auto&, int) {});
    options.url = gone.url();
  }
  Client client(options);
  client.user("x");
  EXPECT_TRUE(contains(client.failure(), "refused"));
  EXPECT_LT(client.took, 2s);
}

TEST(RemoteDialogue, UnknownHostsFail) {
  RemoteOptions options;
  options.url = "http://no-such-host.invalid/v1#m";
  Client client(options);
  client.user("x");
  EXPECT_TRUE(contains(client.failure(), "no-such-host.invalid"));
}

TEST(RemoteDialogue, AServerWithoutTlsFails) {
  ModelServer server([](auto&, const auto&, int) {});
  RemoteOptions options;
  options.url = "https://127.0.0.1:" + std::to_string(server.port()) + "/v1#m";
  Client client(options);
  client.user("x");
  EXPECT_TRUE(contains(client.failure(), "no secure connection"));
}

// The scripted server behind TLS, with a certificate that no authority has signed.
struct TlsFront {
  explicit TlsFront(const ModelServer& server) {
    const std::string command = "exec python3 " CORVID_SOURCE_DIR "/tests/runtime/tls_front.py " +
                                pem + " " + std::to_string(server.port());
    int out[2];
    if (pipe(out) != 0) throw std::runtime_error("pipe");
    child = fork();
    if (child == 0) {
      dup2(out[1], 1);
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    close(out[1]);
    for (char c; read(out[0], &c, 1) == 1 && c != '\n';) port += c;
    close(out[0]);
  }
  ~TlsFront() {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  const std::string pem = CORVID_SOURCE_DIR "/tests/vectors/loopback-tls.pem";
  pid_t child = -1;
  std::string port;
};

TEST(RemoteDialogue, ACertificateThatNobodyVouchesForIsRefusedUnlessItIsNamed) {
  ModelServer server([](auto& out, const auto&, int) { out.say("hello"); });
  TlsFront front(server);
  ASSERT_FALSE(front.port.empty());
  RemoteOptions options;
  options.url = "https://127.0.0.1:" + front.port + "/v1#m";
  Client distrusting(options);
  distrusting.user("x");
  EXPECT_TRUE(contains(distrusting.failure(), "no secure connection"));
  EXPECT_TRUE(server.posts().empty());
  options.settings.ca_file = front.pem;
  Client trusting(options);
  trusting.user("x");
  EXPECT_EQ(trusting.reply().content, "hello");
}

TEST(RemoteDialogue, HttpErrorsSayWhatTheServerSaidAndAreNotRepeated) {
  for (const int status : {400, 401, 403, 404, 413, 500}) {
    ModelServer server([&](auto& out, const auto&, int) {
      out.respond(status, "application/json", R"({"error":{"message":"model is\nasleep"}})");
    });
    Client client(server);
    client.user("x");
    const std::string why = client.failure();
    EXPECT_TRUE(contains(why, std::to_string(status)));
    EXPECT_TRUE(contains(why, "model is asleep"));
    EXPECT_EQ(server.posts().size(), 1u);
  }
}

TEST(RemoteDialogue, AnErrorThatNeverEndsFailsInTime) {
  ModelServer server([&](auto& out, const auto&, int) {
    out.send("HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\nhalf an exc");
    out.closed_within(10s);
  });
  Client client(server);
  client.user("x");
  EXPECT_TRUE(contains(client.failure(), "half an exc"));
}

TEST(RemoteDialogue, ABusyServerIsTriedAgain) {
  for (const int status : {429, 503}) {
    ModelServer server([&](auto& out, const auto&, int n) {
      if (n < 2) return out.respond(status, "text/plain", "busy");
      out.say("awake");
    });
    Client client(server);
    client.user("x");
    EXPECT_EQ(client.reply().content, "awake");
    EXPECT_EQ(client.notices.size(), 2u);
  }
}

TEST(RemoteDialogue, AServerThatStaysBusyFailsInTime) {
  ModelServer server([&](auto& out, const auto&, int) {
    out.respond(503, "application/json", R"({"error":{"message":"Loading model"}})");
  });
  Client client(server);
  client.user("x");
  EXPECT_TRUE(contains(client.failure(), "Loading model"));
  EXPECT_GT(server.posts().size(), 2u);
}

TEST(RemoteDialogue, AWaitBeyondTheDeadlineIsNotBegun) {
  ModelServer server([&](auto& out, const auto&, int) {
    out.respond(429, "text/plain", "slow down", "Retry-After: 60\r\n");
  });
  Client client(server);
  client.user("x");
  EXPECT_TRUE(contains(client.failure(), "wait 60 s"));
  EXPECT_EQ(server.posts().size(), 1u);
  EXPECT_LT(client.took, 2s);
}

TEST(RemoteDialogue, AResetBeforeTheReplyIsTriedAgain) {
  ModelServer server([&](auto& out, const auto&, int n) {
    if (n == 0) return out.reset();
    if (n == 1) {
      out.start_stream();
      return out.reset();
    }
    out.say("back");
  });
  Client client(server);
  client.user("x");
  EXPECT_EQ(client.reply().content, "back");
}

TEST(RemoteDialogue, AResetInTheMiddleOfAReplyIsAnErrorAndTheNextReplyGoesOn) {
  ModelServer server([&](auto& out, const auto&, int n) {
    if (n > 0) return out.say("fine");
    out.start_stream();
    out.event(content_chunk("half"));
    std::this_thread::sleep_for(50ms);
    out.reset();
  });
  Client client(server);
  client.user("x");
  EXPECT_TRUE(contains(client.failure(), "broke off"));
  EXPECT_EQ(server.posts().size(), 1u);
  EXPECT_EQ(client.reply().content, "fine");
  EXPECT_EQ(server.posts()[0].body, server.posts()[1].body);
}

TEST(RemoteDialogue, MalformedStreamsFail) {
  const std::vector<std::string> bodies = {
      "data: {\"choices\":[{]}\n\n",          "data: nonsense\n\n",
      "data: " + content_chunk("a") + "\n\n", std::string("\0\1\2\3", 4),
      "data: {\"error\": \"no\"}\n\n",        "data: [DONE]"};
  for (const std::string& body : bodies) {
    ModelServer server(
        [&](auto& out, const auto&, int) { out.respond(200, "text/event-stream", body); });
    Client client(server);
    client.user("x");
    client.failure();
  }
}

TEST(RemoteDialogue, APageIsNoReply) {
  ModelServer server([&](auto& out, const auto&, int) {
    out.respond(200, "text/html", "<html>Sign in to the hotel's network</html>");
  });
  Client client(server);
  client.user("x");
  EXPECT_TRUE(contains(client.failure(), "text/html"));
}

TEST(RemoteDialogue, ASilentServerIsReportedAndGivenUpAtTheDeadline) {
  for (const bool sends_head : {false, true}) {
    ModelServer server([&](auto& out, const auto&, int) {
      if (sends_head) out.start_stream();
      out.closed_within(20s);
    });
    RemoteOptions options = Client::options_for(server);
    options.settings.first_token_deadline = 1500ms;
    Client client(options);
    client.user("x");
    EXPECT_TRUE(contains(client.failure(), "silent"));
    ASSERT_FALSE(client.waits.empty());
    EXPECT_TRUE(contains(client.waits[0], "waiting for 127.0.0.1"));
  }
}

TEST(RemoteDialogue, KeepAlivesAreLife) {
  ModelServer server([&](auto& out, const auto&, int) {
    out.start_stream();
    for (int i = 0; i < 12; ++i) {
      out.comment();
      std::this_thread::sleep_for(200ms);
    }
    out.event(content_chunk("at last"));
    out.event(finish_chunk("stop"));
    out.end_stream();
  });
  RemoteOptions options = Client::options_for(server);
  options.settings.first_token_deadline = 1s;
  Client client(options);
  client.user("x");
  EXPECT_EQ(client.reply().content, "at last");
}

TEST(RemoteDialogue, AStreamThatStopsIsGivenUp) {
  ModelServer server([&](auto& out, const auto&, int) {
    out.start_stream();
    out.event(content_chunk("and then"));
    out.closed_within(20s);
  });
  RemoteOptions options = Client::options_for(server);
  options.settings.stall_deadline = 500ms;
  Client client(options);
  client.user("x");
  EXPECT_TRUE(contains(client.failure(), "silent"));
}

TEST(RemoteDialogue, EndlessBabbleIsCutAndTheRequestClosed) {
  std::atomic<bool> closed = false;
  ModelServer server([&](auto& out, const auto&, int) {
    out.start_stream();
    while (out.event(content_chunk("blah "))) {
    }
    closed = true;
  });
  RemoteOptions options = Client::options_for(server);
  options.settings.max_tokens = 100;
  {
    Client client(options);
    client.user("x");
    const model::Turn turn = client.reply();
    EXPECT_EQ(turn.stop, Stop::length);
    EXPECT_LT(turn.content.size(), 600u);
    EXPECT_EQ(Json::parse(server.posts()[0].body)["max_tokens"], 100);
  }
  for (int i = 0; i < 100 && !closed; ++i) std::this_thread::sleep_for(20ms);
  EXPECT_TRUE(closed);
}

TEST(RemoteDialogue, AServerThatForgetsDoneStillReplies) {
  ModelServer server([&](auto& out, const auto&, int) {
    out.start_stream();
    out.event(content_chunk("hi"));
    out.event(finish_chunk("stop"));
    out.closed_within(20s);
  });
  Client client(server);
  client.user("x");
  EXPECT_EQ(client.reply().content, "hi");
  EXPECT_LT(client.took, 5s);
}

TEST(RemoteDialogue, CancellingClosesTheRequestAndKeepsWhatCame) {
  std::atomic<bool> closed = false;
  ModelServer server([&](auto& out, const auto&, int n) {
    if (n > 0) return out.say("fine");
    out.start_stream();
    out.event(reasoning_chunk("hm"));
    out.event(content_chunk("so far"));
    closed = out.closed_within(10s);
  });
  Client client(server);
  client.user("x");
  const model::Turn turn = client.reply("so far");
  EXPECT_EQ(turn.stop, Stop::interrupted);
  EXPECT_EQ(turn.content, "so far");
  client.user("and now?");
  EXPECT_EQ(client.reply().content, "fine");
  EXPECT_TRUE(closed);
  const Json messages = Json::parse(server.posts().at(1).body)["messages"];
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[1]["content"], "so far");
}

TEST(RemoteDialogue, ReasoningThatIsRefusedIsSentByTheOtherRuleOnce) {
  ModelServer server([&](auto& out, const auto& request, int) {
    if (request.body.find("reasoning_content") != std::string::npos) {
      return out.respond(400, "application/json",
                         R"({"error":{"message":"reasoning_content is not allowed"}})");
    }
    out.call("c", "shell", "{}", "my thoughts");
  });
  Client client(server);
  client.user("x");
  for (int i = 0; i < 3; ++i) {
    const model::Turn turn = client.reply();
    client.dialogue().append(Results{{{turn.calls.at(0).id, "ok"}}});
  }
  EXPECT_EQ(server.posts().size(), 4u);  // only the second reply needed two requests
}

TEST(RemoteDialogue, ReasoningThatIsMissedIsSentAgain) {
  ModelServer server([&](auto& out, const auto& request, int n) {
    const bool has_all = request.body.find("thought 0") != std::string::npos;
    if (n > 0 && !has_all) {
      return out.respond(400, "application/json",
                         R"({"error":{"message":"reasoning_content must be passed back"}})");
    }
    out.say("ok", "thought " + std::to_string(n));
  });
  RemoteOptions options = Client::options_for(server);
  options.settings.reasoning = "turn";
  Client client(options);
  for (int i = 0; i < 3; ++i) {
    client.user("x");
    EXPECT_EQ(client.reply().content, "ok");
  }
  EXPECT_EQ(server.posts().size(), 4u);
}

TEST(RemoteDialogue, A400AboutReasoningThatNothingHelpsIsAnError) {
  ModelServer server([&](auto& out, const auto&, int n) {
    if (n == 0) return out.call("c", "shell", "{}", "thought");
    out.respond(400, "application/json", R"({"error":{"message":"reasoning_content: no"}})");
  });
  Client client(server);
  client.user("x");
  client.reply();
  EXPECT_TRUE(contains(client.failure(), "reasoning_content: no"));
  EXPECT_EQ(server.posts().size(), 3u);
}

TEST(RemoteDialogue, AFullContextIsAnOutcome) {
  ModelServer server([&](auto& out, const auto&, int) {
    out.respond(400, "application/json",
                R"({"error":{"type":"exceed_context_size_error","message":"too long"}})");
  });
  Client client(server);
  client.user("x");
  EXPECT_EQ(client.reply().stop, Stop::context_full);
}

TEST(RemoteDialogue, AServerThatCutsTheConversationIsNamed) {
  ModelServer server([&](auto& out, const auto&, int n) {
    out.start_stream();
    out.event(content_chunk("hi"));
    out.event(finish_chunk("stop"));
    out.event(usage_chunk(n == 0 ? 4000 : 2048, 0, 5));
    out.end_stream();
  });
  Client client(server);
  for (int i = 0; i < 2; ++i) {
    client.user("x");
    client.reply();
  }
  ASSERT_EQ(client.notices.size(), 1u);
  EXPECT_TRUE(contains(client.notices[0], "context is too small"));
}

TEST(RemoteDialogue, TheKeyTravelsAndIsNeverShown) {
  ModelServer server([&](auto& out, const auto& request, int n) {
    EXPECT_TRUE(contains(request.head, "Authorization: Bearer sk-top-secret\r\n"));
    if (n == 0) return out.respond(503, "text/plain", "sk-top-secret is busy");
    out.respond(401, "application/json",
                R"({"error":{"message":"Incorrect API key provided: sk-top-secret"}})");
  });
  RemoteOptions options = Client::options_for(server);
  options.credential = {Secret("sk-top-secret"), "MY_KEY"};
  Client client(options);
  client.user("x");
  const std::string why = client.failure();
  EXPECT_TRUE(contains(why, "[key]"));
  EXPECT_TRUE(contains(why, "MY_KEY"));
  for (const std::string& text : client.notices) EXPECT_FALSE(contains(text, "top-secret"));
  EXPECT_FALSE(contains(why, "top-secret"));
  EXPECT_FALSE(contains(client.dialogue().description(), "top-secret"));
}

TEST(RemoteDialogue, RedirectsAreNotFollowed) {
  ModelServer elsewhere([](auto& out, const auto&, int) { out.say("stolen"); });
  ModelServer server([&](auto& out, const auto&, int) {
    out.respond(307, "text/plain", "", "Location: " + elsewhere.url() + "/chat/completions\r\n");
  });
  Client client(server);
  client.user("x");
  EXPECT_TRUE(contains(client.failure(), "307"));
  EXPECT_TRUE(elsewhere.posts().empty());
}

}  // namespace
}  // namespace corvid::runtime
