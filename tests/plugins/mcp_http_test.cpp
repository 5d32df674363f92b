// MCP servers over HTTP as a model meets them through the tool `mcp`: a real server on loopback,
// good and bad.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <thread>

#include "plugins/mcp_tool.h"
#include "tests/plugins/server_bench.h"

namespace corvid::plugins {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class McpHttpTest : public ServerTest {
 protected:
  // One server named `it`, of an era and with a mischief.
  void serve(const std::vector<std::string>& how, McpPatience patience = {}) {
    McpServerSpec spec;
    spec.name = "it";
    spec.url = start(how);
    spec.trusted = true;
    specify(spec);
    toolbox_.emplace();
    toolbox_->add(make_mcp_tool({spec}, patience));
  }
  std::string start(const std::vector<std::string>& how) {
    return "http://127.0.0.1:" + std::to_string(start_server("mcp_http_server.py", how));
  }
  tools::ToolResult mcp(const ordered_json& arguments) {
    return tools::finish(io_, toolbox_->run({{"1", "mcp", arguments.dump()}}, context_, {}))[0];
  }
  std::string list() { return mcp({{"server", "it"}}).text; }
  std::string add(int a, int b) {
    return mcp({{"server", "it"}, {"tool", "add"}, {"arguments", {{"a", a}, {"b", b}}}}).text;
  }
  // Until the server has noted a request that `wanted` is true of.
  void wait_for(const std::function<bool(const ordered_json&)>& wanted) {
    io_.restart();
    for (;;) {
      const auto all = requests();
      if (std::any_of(all.begin(), all.end(), wanted)) return;
      io_.run_one();
    }
  }

  std::function<void(McpServerSpec&)> specify = [](McpServerSpec&) {};
};

TEST_F(McpHttpTest, ServersOfBothErasAreUsed) {
  for (const char* era : {"old", "new", "mute"}) {
    serve({era});
    EXPECT_THAT(list(), StartsWith("add: Adds two numbers.\n")) << era;
    EXPECT_EQ(add(2, 3), "5") << era;
    EXPECT_EQ(add(20, 30), "50") << era;
  }
}

TEST_F(McpHttpTest, AServerOfTheNewEraMayBeSlowToSaySo) {
  McpPatience patience;
  patience.probe = std::chrono::seconds(1);
  serve({"new", "slow to answer"}, patience);
  EXPECT_EQ(add(2, 3), "5");
}

TEST_F(McpHttpTest, ASessionThatHasEndedIsBegunAnewWithinTheCall) {
  serve({"old", "forgets"});
  EXPECT_EQ(add(2, 3), "5");
}

TEST_F(McpHttpTest, AServerIsToldThatItsSessionIsOver) {
  for (const bool at_the_end : {false, true}) {
    serve({"old"});
    EXPECT_EQ(add(2, 3), "5");
    if (at_the_end) io_.stop();  // as it is when the program ends
    toolbox_.reset();
    wait_for([](const ordered_json& request) {
      return request["http"] == "DELETE" && request["Mcp-Session-Id"] == "session-0" &&
             request["MCP-Protocol-Version"] == "2025-11-25";
    });
  }
}

TEST_F(McpHttpTest, AServerIsNotToldOfASessionThatItHasEndedItself) {
  serve({"old", "forgets"});
  EXPECT_EQ(add(2, 3), "5");
  toolbox_.reset();
  const auto leaves = [](const std::string& session) {
    return [session](const ordered_json& request) {
      return request["http"] == "DELETE" && request["Mcp-Session-Id"] == session;
    };
  };
  wait_for(leaves("session-2"));
  const auto all = requests();
  EXPECT_TRUE(std::none_of(all.begin(), all.end(), leaves("session-0")));
}

TEST_F(McpHttpTest, AServerThatDoesNotLetItsSessionGoIsLeft) {
  serve({"old", "never lets go"});
  EXPECT_EQ(add(2, 3), "5");
  io_.stop();
  const auto start = std::chrono::steady_clock::now();
  toolbox_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(100));
}

TEST_F(McpHttpTest, AStreamThatBreaksOffIsTakenUpAgainWhereItWas) {
  serve({"old", "breaks off"});
  EXPECT_EQ(add(2, 3), "5");
  const auto again = [](const ordered_json& request) {
    return request["http"] == "GET" && request.value("Last-Event-ID", "") == "e1" &&
           request["Mcp-Session-Id"] == "session-0";
  };
  wait_for(again);
}

TEST_F(McpHttpTest, AStreamThatAlwaysBreaksOffIsGivenUp) {
  serve({"old", "always breaks"});
  EXPECT_EQ(add(2, 3), "Error: the MCP server it: it broke off without an answer to tools/call");
}

TEST_F(McpHttpTest, AStreamWithoutAPlaceToGoOnIsNotTakenUp) {
  for (const char* era : {"old", "new"}) {
    serve({era, "breaks for good"});
    EXPECT_THAT(add(2, 3), EndsWith("it broke off without an answer to tools/call")) << era;
    EXPECT_THAT(list(), StartsWith("add: ")) << "it is still used";
  }
}

bool is_get(const ordered_json& request) {
  return request["http"] == "GET";
}

TEST_F(McpHttpTest, WhatIsAskedOnAStreamOfItsOwnIsAnswered) {
  serve({"old", "unasked: a form"});
  EXPECT_EQ(add(1, 2), R"({"action": "decline"})") << "nobody is there";
  const auto all = requests();
  const auto heard = std::find_if(all.begin(), all.end(), is_get);
  ASSERT_NE(heard, all.end());
  EXPECT_EQ((*heard)["Mcp-Session-Id"], "session-0");
  EXPECT_EQ((*heard)["MCP-Protocol-Version"], "2025-11-25");
  EXPECT_FALSE(heard->contains("Last-Event-ID"));
}

TEST_F(McpHttpTest, AStreamOfItsOwnIsTakenUpAgainWhereItWas) {
  serve({"old", "unasked: breaks off"});
  EXPECT_EQ(add(1, 2), R"({"action": "decline"})");
  const auto again = [](const ordered_json& request) {
    return is_get(request) && request.value("Last-Event-ID", "") == "u1";
  };
  wait_for(again);
}

TEST_F(McpHttpTest, AServerWithoutAStreamOfItsOwnIsAskedOnceForIt) {
  serve({"old"});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(add(2, i), std::to_string(2 + i));
  wait_for(is_get);
  const auto all = requests();
  EXPECT_EQ(std::count_if(all.begin(), all.end(), is_get), 1);
}

TEST_F(McpHttpTest, TheNewEraHasNoStreamOfItsOwn) {
  serve({"new", "unasked: floods"});
  EXPECT_EQ(add(1, 2), "3");
  const auto all = requests();
  EXPECT_EQ(std::count_if(all.begin(), all.end(), is_get), 0);
}

TEST_F(McpHttpTest, AStreamOfItsOwnThatFloodsEndsTheServer) {
  serve({"old", "unasked: floods"});
  std::string answer;
  for (int i = 0; i < 100'000 && !answer.starts_with("Error"); ++i) answer = add(1, 2);
  EXPECT_THAT(answer, EndsWith("it sent an event of more than 8 MiB"));
}

// At first after a second each.
TEST_F(McpHttpTest, AStreamOfItsOwnThatNeverHoldsIsOpenedNowAndThen) {
  serve({"old", "unasked: hangs up"});
  const auto start = std::chrono::steady_clock::now();
  const auto took = [&] { return std::chrono::steady_clock::now() - start; };
  while (took() < std::chrono::seconds(1)) {
    EXPECT_EQ(add(1, 2), "3");  // each with an answer to nobody, of which 1,000 would be too many
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  wait_for(is_get);
  const auto all = requests();
  const auto n_opened = std::count_if(all.begin(), all.end(), is_get);
  EXPECT_LE(n_opened, 1 + took() / std::chrono::milliseconds(500));
}

TEST_F(McpHttpTest, ATokenGoesAlongAndIsNeverShown) {
  specify = [](McpServerSpec& spec) {
    spec.headers = {"Authorization: Bearer hush-hush-hush"};
    spec.secrets = {Secret("hush-hush-hush")};
  };
  serve({"old", "wants a token"});
  EXPECT_EQ(add(2, 3), "5");
  serve({"new", "echoes"});
  EXPECT_EQ(add(2, 3), "Error: the MCP server it: it says: refused: Bearer [key] (1)");
}

TEST_F(McpHttpTest, AServerThatWantsAnotherTokenSaysSo) {
  specify = [](McpServerSpec& spec) { spec.headers = {"authorization: Bearer wrong"}; };
  serve({"old", "wants a token"});
  EXPECT_THAT(list(), AllOf(HasSubstr("it answers 401"), HasSubstr("\"Authorization\"")));
}

TEST_F(McpHttpTest, WhatIsNoServerIsNamed) {
  serve({"old", "redirects"});
  EXPECT_THAT(list(), HasSubstr("it redirects to http://elsewhere.invalid/mcp, which is not"));
  serve({"old", "web page"});
  EXPECT_THAT(list(), EndsWith("it answers initialize with neither JSON nor events"));
  serve({"old", "breaks down"});
  EXPECT_THAT(list(), EndsWith("it answers with the HTTP status 500"));
}

TEST_F(McpHttpTest, AServerThatIsNotThereIsNamed) {
  McpServerSpec spec;
  spec.name = "it";
  spec.url = "http://127.0.0.1:1/mcp";
  spec.trusted = true;
  toolbox_->add(make_mcp_tool({spec}));
  EXPECT_THAT(list(), HasSubstr("nothing answers at 127.0.0.1:1"));
  EXPECT_THAT(list(), HasSubstr("it has broken down and is started again in some seconds"));
}

TEST_F(McpHttpTest, AServerThatDropsTheConnectionEndsTheCallAlone) {
  serve({"old", "drops"});
  EXPECT_THAT(add(1, 2), HasSubstr("the connection to 127.0.0.1:"));
  EXPECT_THAT(list(), StartsWith("add: "));
}

TEST_F(McpHttpTest, AServerThatHangsIsGivenUpAndToldSo) {
  McpPatience patience;
  patience.call = std::chrono::seconds(1);
  for (const char* how : {"hangs", "hangs in the stream"}) {
    serve({"old", how}, patience);
    EXPECT_THAT(add(1, 2), EndsWith("it did not answer tools/call in 1 s")) << how;
    wait_for([](const ordered_json& r) { return r["method"] == "notifications/cancelled"; });
  }
}

TEST_F(McpHttpTest, AServerThatFloodsIsLeft) {
  serve({"old", "long answer"});
  EXPECT_THAT(add(1, 2), EndsWith("it sent more than 8192 KiB as one answer"));
  serve({"old", "long event"});
  EXPECT_THAT(add(1, 2), EndsWith("it sent an event of more than 8 MiB"));
  serve({"old", "garbage"});
  EXPECT_THAT(add(1, 2), EndsWith("it sends what is no MCP"));
  serve({"old", "asks"});
  EXPECT_THAT(add(1, 2), EndsWith("it asks and does not read the answers"));
}

TEST_F(McpHttpTest, AnAnswerToSomethingElseIsNone) {
  serve({"new", "wrong answer"});
  EXPECT_THAT(add(1, 2), EndsWith("it broke off without an answer to tools/call"));
}

TEST_F(McpHttpTest, AnInterruptEndsTheCallAndNotTheServer) {
  serve({"old", "hangs in the stream"});
  EXPECT_THAT(list(), StartsWith("add: "));
  asio::cancellation_signal cancel;
  std::vector<tools::ToolResult> results;
  const ordered_json arguments = {
      {"server", "it"}, {"tool", "add"}, {"arguments", {{"a", 1}, {"b", 2}}}};
  asio::co_spawn(io_, toolbox_->run({{"1", "mcp", arguments.dump()}}, context_, {}),
                 asio::bind_cancellation_slot(
                     cancel.slot(), [&](std::exception_ptr, std::vector<tools::ToolResult> all) {
                       results = std::move(all);
                     }));
  wait_for([](const ordered_json& request) { return request["method"] == "tools/call"; });
  cancel.emit(asio::cancellation_type::terminal);
  while (results.empty()) io_.run_one();
  EXPECT_THAT(results[0].text, HasSubstr("interrupted"));
  EXPECT_THAT(list(), StartsWith("add: "));
}

TEST_F(McpHttpTest, AServerOfTheProjectIsUsedOnlyWhenTheUserAgrees) {
  specify = [](McpServerSpec& spec) {
    spec.trusted = false;
    spec.shown = "http://${HOST}/mcp";
    spec.variables = {"HOST", "TOKEN"};
  };
  serve({"new"});
  std::vector<tools::Request> asked;
  const auto agree = [](std::vector<tools::Request>& seen,
                        tools::Request request) -> asio::awaitable<tools::Verdict> {
    seen.push_back(std::move(request));
    co_return tools::Verdict{true, {}};
  };
  EXPECT_THAT(list(), HasSubstr("nobody has allowed it"));
  EXPECT_TRUE(requests().empty()) << "nothing was sent";
  context_.approve = [&](tools::Request request) { return agree(asked, std::move(request)); };
  EXPECT_EQ(add(1, 2), "3");
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].what,
            "use the MCP server it of this project: http://${HOST}/mcp\n"
            "with your environment's HOST, TOKEN");
}

}  // namespace
}  // namespace corvid::plugins
