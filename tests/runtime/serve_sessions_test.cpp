// /v1/sessions on the real server: the real agent with its tools and its journal, the real engine
// with a script for what the model says, and the program itself beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <span>

#include "tests/runtime/serving.h"
#include "tests/scratch_folder.h"

namespace corvid::runtime {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

struct Told {
  std::string id;
  Json event;

  std::string type() const { return event["type"]; }
  bool is_step() const { return id.find('.') == id.npos; }
  bool operator==(const Told& other) const { return id == other.id; }
};

// Follows the events of a session over one connection.
class Follower {
 public:
  Follower(int port, const std::string& session, const std::string& after = {},
           const std::string& key = {})
      : client_(port) {
    const std::string header = after.empty() ? "" : "Last-Event-ID: " + after + "\r\n";
    client_.request("GET", "/v1/sessions/" + session + "/events", "", key + header);
  }

  Told next() {
    for (;;) {
      const std::size_t begin = unread_.find("id: ");
      const std::size_t end = begin == unread_.npos ? begin : unread_.find("\n\n", begin);
      if (end == unread_.npos) {
        const std::string bytes = client_.read_some();
        if (bytes.empty()) throw std::runtime_error("the stream has ended: " + unread_);
        unread_ += bytes;
        continue;
      }
      const std::string text = unread_.substr(begin, end - begin);
      unread_.erase(0, end + 2);
      const std::size_t line = text.find("\ndata: ");
      return {text.substr(4, line - 4), Json::parse(text.substr(line + 7))};
    }
  }
  // Up to the first event of this type.
  std::vector<Told> until(const std::string& type) {
    std::vector<Told> told;
    do {
      told.push_back(next());
    } while (told.back().type() != type);
    return told;
  }

 private:
  TestClient client_;
  std::string unread_;
};

std::vector<std::string> types(const std::vector<Told>& told) {
  std::vector<std::string> types;
  for (const Told& one : told) types.push_back(one.type());
  return types;
}

class ServeSessions : public testing::Test {
 protected:
  ServeSessions() {
    for (const char* name : {"DATA", "CONFIG", "STATE", "CACHE"}) {
      setenv(("XDG_" + std::string(name) + "_HOME").c_str(), (home_ / name).c_str(), 1);
    }
    work_ = home_ / "work";
    std::filesystem::create_directories(work_);
    start();
  }

  void start(std::vector<std::string> keys = {}) {
    server_.reset();
    ServeOptions options;
    options.access.keys = std::move(keys);
    options.workspaces = {work_};
    server_ = std::make_unique<TestServer>(std::move(options));
  }
  std::string create() {
    const HttpResponse made = server_->post("/v1/sessions", {{"cwd", work_.string()}}, key_);
    EXPECT_EQ(made.status, 201) << made.body;
    return made.json()["id"];
  }
  HttpResponse prompt(const std::string& id, const std::string& text) {
    return server_->post("/v1/sessions/" + id + "/prompt", {{"text", text}}, key_);
  }
  // A turn from its prompt to its end.
  std::vector<Told> turn(const std::string& id, const std::string& text) {
    const HttpResponse begun = prompt(id, text);
    EXPECT_EQ(begun.status, 202) << begun.body;
    return Follower(server_->port(), id, begun.json()["last_event_id"], key_)
        .until("turn_finished");
  }
  // What the program prints.
  static std::string corvid(const std::string& arguments) {
    FILE* const pipe = popen((CORVID_BINARY " " + arguments + " 2>&1").c_str(), "r");
    std::string out;
    for (char bytes[4096]; std::size_t n = fread(bytes, 1, sizeof bytes, pipe);)
      out.append(bytes, n);
    pclose(pipe);
    return out;
  }

  const ScratchFolder home_;
  std::filesystem::path work_;
  std::string key_;  // the header with it; empty: none
  std::unique_ptr<TestServer> server_;
};

TEST_F(ServeSessions, APromptIsWorkedOnWithToolsAndTold) {
  const std::string id = create();
  server_->says(calling("shell", R"({"command": "echo hi > made.txt; cat made.txt"})", "I write."));
  server_->says(saying("Done.", "It is there."));
  const std::vector<Told> told = turn(id, "make a file");
  EXPECT_EQ(home_.get("work/made.txt"), "hi\n");
  EXPECT_THAT(types(told), IsSupersetOf({"prompted", "reasoning_delta", "call_delta",
                                         "step_finished", "call_started", "call_finished"}));
  for (const Told& one : told) EXPECT_EQ(one.event["session"], id);
  EXPECT_EQ(told.back().event["answer"], "Done.");
  EXPECT_EQ(told.back().event["steps"], 2);
  const auto finished = std::ranges::find(told, "call_finished", &Told::type);
  EXPECT_EQ(finished->event["text"], "hi\n[exit 0]");
}

TEST_F(ServeSessions, TheNextPromptPrefillsOnlyWhatIsNew) {
  const std::string id = create();
  server_->says(saying("First.", "A long thought that is dropped."));
  server_->says(saying("Second."));
  turn(id, "one");
  const std::vector<Told> told = turn(id, "two");
  const auto step = std::ranges::find(told, "step_finished", &Told::type);
  EXPECT_GT(step->event["usage"]["reused"], 100);
  EXPECT_LT(step->event["usage"]["prefilled"], 15);
}

TEST_F(ServeSessions, AFollowerThatWasCutOffIsToldEveryStepOnce) {
  const std::string id = create();
  server_->says(calling("shell", R"({"command": "true"})"));
  server_->says(saying("Done."));
  prompt(id, "go");
  const std::vector<Told> all = Follower(server_->port(), id).until("turn_finished");
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    const std::vector<Told> rest = Follower(server_->port(), id, all[i].id).until("turn_finished");
    EXPECT_THAT(rest, testing::ElementsAreArray(all.begin() + static_cast<long>(i) + 1, all.end()));
  }
  start();  // what is left is in the journal
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    std::vector<std::string> expected;
    for (const Told& one : std::span(all).subspan(i + 1)) {
      if (one.is_step() || one.type() == "turn_finished") expected.push_back(one.type());
    }
    const std::vector<Told> rest = Follower(server_->port(), id, all[i].id).until("turn_finished");
    EXPECT_EQ(types(rest), expected) << "after " << all[i].id;
  }
}

TEST_F(ServeSessions, AStreamGoesOnOverTheRestartOfTheServer) {
  const std::string id = create();
  server_->says(saying("One."));
  const std::string last = turn(id, "1").back().id;
  start();
  server_->says(saying("Two."));
  EXPECT_EQ(prompt(id, "2").status, 202);
  const std::vector<Told> told = Follower(server_->port(), id, last).until("turn_finished");
  EXPECT_THAT(types(told), Contains("session_started"));
  EXPECT_EQ(std::ranges::count(told, "prompted", &Told::type), 1);
  EXPECT_EQ(told.back().event["answer"], "Two.");
}

TEST_F(ServeSessions, ItsOptionsAndWhyATurnFailedOutliveTheServer) {
  const HttpResponse made =
      server_->post("/v1/sessions", {{"cwd", work_.string()}, {"max_steps", 1}});
  const std::string id = made.json()["id"];
  for (int i = 0; i < 2; ++i) {  // each with a server of its own
    server_->says(calling("shell", R"({"command": "echo hi"})"));
    const std::string before = prompt(id, "go").json()["last_event_id"];
    const std::vector<Told> told = Follower(server_->port(), id, before).until("failed");
    EXPECT_TRUE(told.back().is_step());
    start();
    const std::vector<Told> again = Follower(server_->port(), id, before).until("failed");
    EXPECT_EQ(again.back().id, told.back().id);
    EXPECT_EQ(again.back().event["message"], told.back().event["message"]);
  }
}

TEST_F(ServeSessions, ASecondPromptAtOnceIsRefused) {
  const std::string id = create();
  server_->says(saying("First."));
  Gate gate(*server_);
  EXPECT_EQ(prompt(id, "one").status, 202);
  gate.arrived.get_future().wait();
  server_->on_token(nullptr);
  EXPECT_EQ(prompt(id, "two").status, 409);
  EXPECT_EQ(server_->get("/v1/sessions/" + id).json()["working"], true);
  gate.opened.set_value();
  EXPECT_EQ(Follower(server_->port(), id).until("turn_finished").back().event["answer"], "First.");
  server_->says(saying("Second."));
  EXPECT_EQ(turn(id, "two").back().event["answer"], "Second.");
}

TEST_F(ServeSessions, AnInterruptedTurnEndsAndTheSessionGoesOn) {
  const std::string id = create();
  server_->says(saying(std::string(2000, 'x')));
  Gate gate(*server_);
  prompt(id, "talk");
  gate.arrived.get_future().wait();
  server_->on_token(nullptr);
  EXPECT_EQ(server_->post("/v1/sessions/" + id + "/interrupt", {}).json()["interrupted"], true);
  gate.opened.set_value();
  const Told end = Follower(server_->port(), id).until("turn_finished").back();
  EXPECT_EQ(end.event["stop"], "interrupted");
  server_->says(saying("Here."));
  EXPECT_EQ(turn(id, "again").back().event["answer"], "Here.");
}

TEST_F(ServeSessions, WhatThePolicyDoesNotGiveIsAskedOfTheClient) {
  const std::string id = create();
  const std::filesystem::path outside = home_ / "outside.txt";
  for (const char* answer : {"no", "once"}) {
    const Json arguments = {{"path", outside.string()}, {"content", "x"}};
    server_->says(calling("write", arguments.dump()));
    server_->says(saying("Done."));
    const std::string after = prompt(id, "write it").json()["last_event_id"];
    Follower follower(server_->port(), id, after);
    const Told asked = follower.until("approval_asked").back();
    EXPECT_THAT(asked.event["what"].get<std::string>(), HasSubstr(outside.string()));
    const std::string path = "/v1/sessions/" + id + "/approvals/";
    EXPECT_EQ(server_->post(path + "ask_99", {{"answer", "once"}}).status, 404);
    EXPECT_EQ(server_->post(path + "x", {{"answer", "perhaps"}}).status, 400);
    const std::string question = asked.event["id"];
    EXPECT_EQ(server_->post(path + question, {{"answer", answer}}).status, 200);
    const std::vector<Told> told = follower.until("turn_finished");
    EXPECT_EQ(told.front().event["answer"], answer);
    EXPECT_EQ(std::filesystem::exists(outside), answer == std::string("once"));
    EXPECT_EQ(server_->post(path + question, {{"answer", answer}}).status, 404);
  }
}

TEST_F(ServeSessions, AnotherKeysSessionsAndContextsAreOutOfReach) {
  const std::string a = "X-Api-Key: a\r\n", b = "X-Api-Key: b\r\n";
  const std::string unowned = create();
  const auto reused = [&](const std::string& id) {
    server_->says(saying("Done."));
    const std::vector<Told> told = turn(id, "hello");
    return std::ranges::find(told, "step_finished", &Told::type)->event["usage"]["reused"];
  };
  start({"a", "b"});
  key_ = a;
  const std::string id = create();
  EXPECT_EQ(reused(id), 0);
  key_ = b;
  const std::string other = create();
  EXPECT_EQ(reused(other), 0);
  key_ = a;
  EXPECT_GT(reused(id), 100);
  for (const bool again : {false, true}) {
    if (again) start({"a", "b"});
    const Json arguments = {{"path", (home_ / "outside.txt").string()}, {"content", "x"}};
    server_->says(calling("write", arguments.dump()));
    const std::string after = prompt(id, "write it").json()["last_event_id"];
    Follower follower(server_->port(), id, after, a);
    const std::string question = follower.until("approval_asked").back().event["id"];
    const std::string path = "/v1/sessions/" + id;
    EXPECT_EQ(server_->get(path, b).status, 404);
    EXPECT_EQ(server_->get(path + "/events", b).status, 404);
    EXPECT_EQ(server_->post(path + "/prompt", {{"text", "x"}}, b).status, 404);
    EXPECT_EQ(server_->post(path + "/approvals/" + question, {{"answer", "once"}}, b).status, 404);
    EXPECT_EQ(server_->post(path + "/interrupt", Json::object(), b).status, 404);
    for (const auto& [key, own] : {std::pair(a, id), std::pair(b, other)}) {
      const Json listed = server_->get("/v1/sessions", key).json()["sessions"];
      ASSERT_EQ(listed.size(), 1u);
      EXPECT_EQ(listed[0]["id"], own);
      EXPECT_EQ(server_->get("/v1/sessions/" + unowned, key).status, 404);
    }
    EXPECT_EQ(server_->get(path, a).json()["working"], true);
    server_->post(path + "/interrupt", Json::object(), a);
    follower.until("turn_finished");
  }
  start();
  EXPECT_EQ(server_->get("/v1/sessions").json()["sessions"].size(), 3u);
}

TEST_F(ServeSessions, NeverIsAskedOnce) {
  const std::string id = create();
  const Json arguments = {{"path", (home_ / "outside.txt").string()}, {"content", "x"}};
  for (int i = 0; i < 2; ++i) server_->says(calling("write", arguments.dump()));
  server_->says(saying("Done."));
  prompt(id, "write it");
  Follower follower(server_->port(), id);
  const std::string question = follower.until("approval_asked").back().event["id"];
  const std::string path = "/v1/sessions/" + id + "/approvals/" + question;
  EXPECT_EQ(server_->post(path, {{"answer", "never"}}).status, 200);
  const std::vector<Told> told = follower.until("turn_finished");
  EXPECT_EQ(told.front().event["answer"], "never");
  for (const Told& one : told) EXPECT_NE(one.event["type"], "approval_asked");
  EXPECT_FALSE(std::filesystem::exists(home_ / "outside.txt"));
}

TEST_F(ServeSessions, AnInterruptTakesBackAQuestion) {
  const std::string id = create();
  const Json arguments = {{"path", (home_ / "outside.txt").string()}, {"content", "x"}};
  server_->says(calling("write", arguments.dump()));
  prompt(id, "write it");
  Follower follower(server_->port(), id);
  follower.until("approval_asked");
  server_->post("/v1/sessions/" + id + "/interrupt", {});
  EXPECT_EQ(follower.until("approval_answered").back().event["answer"], "no");
  follower.until("turn_finished");
  EXPECT_FALSE(std::filesystem::exists(home_ / "outside.txt"));
}

TEST_F(ServeSessions, OnlyFoldersOfTheWorkspacesAreWorkedIn) {
  const auto refusal = [&](const Json& cwd) {
    return server_->post("/v1/sessions", {{"cwd", cwd}}).status;
  };
  std::filesystem::create_directory_symlink("/", work_ / "root");
  EXPECT_EQ(refusal("/"), 403);
  EXPECT_EQ(refusal((work_ / "..").string()), 403);
  EXPECT_EQ(refusal((work_ / "root").string()), 403);
  EXPECT_EQ(refusal(work_.string() + "er"), 400);
  EXPECT_EQ(refusal("work"), 400);
  EXPECT_EQ(refusal(7), 400);
  std::filesystem::create_directory(work_ / "sub");
  EXPECT_EQ(refusal((work_ / "sub").string()), 201);
}

TEST_F(ServeSessions, WrongOptionsAreRefusedByTheirNames) {
  const std::pair<const char*, std::vector<const char*>> wrong[] = {
      {"max_steps", {"0", "-1", "1e30", "1.5", "18446744073709551616", "\"7\"", "true", "[]"}},
      {"temperature", {"-1", "2.1", "1e30", "\"1\"", "{}"}},
      {"top_p", {"-0.1", "1.1", "true"}},
      {"min_p", {"-0.1", "1.1", "[1]"}},
      {"thinking", {"7", "\"on\"", "{}"}},
      {"cwd", {"7", "[]", "\"work\""}}};
  for (const auto& [name, values] : wrong) {
    for (const char* value : values) {
      const std::string body = "{\"" + std::string(name) + "\": " + value + "}";
      const HttpResponse refused = server_->post_text("/v1/sessions", body);
      ASSERT_EQ(refused.status, 400) << body;
      EXPECT_THAT(refused.json()["error"]["message"].get<std::string>(), HasSubstr(name)) << body;
    }
  }
  for (const char* body : {"[]", "{\"max_steps\": 1e400}", "{\"top_p\": NaN}", ""}) {
    EXPECT_EQ(server_->post_text("/v1/sessions", body).status, 400) << body;
  }
  EXPECT_EQ(server_->get("/v1/sessions").json()["sessions"].size(), 0u);
}

TEST_F(ServeSessions, WhatIsNotThereIsRefused) {
  EXPECT_EQ(prompt("abcdefgh", "x").status, 404);
  EXPECT_EQ(prompt("", "x").status, 404);
  EXPECT_EQ(server_->get("/v1/sessions/abcdefgh/events").status, 404);
  const std::string id = create();
  EXPECT_EQ(prompt(id.substr(0, 4), "x").status, 404);
  EXPECT_EQ(prompt(id, " \n").status, 400);
  EXPECT_EQ(server_->get("/v1/sessions/" + id + "/events", "Last-Event-ID: x\r\n").status, 400);
  EXPECT_EQ(server_->get("/v1/sessions/" + id + "/nothing").status, 404);
  EXPECT_EQ(server_->post_text("/v1/sessions", "{}", "Origin: https://evil.example\r\n").status,
            403);
}

TEST_F(ServeSessions, SessionsAreTheSameOnTheCommandLine) {
  const std::string id = create();
  server_->says(saying("From the server."));
  const HttpResponse begun = prompt(id, "a question");
  Follower(server_->port(), id, begun.json()["last_event_id"]).until("settled");
  EXPECT_THAT(corvid("sessions"), HasSubstr(id));
  EXPECT_THAT(corvid("show " + id), HasSubstr("From the server."));
  // The program goes on with it; so does the server, which had it open.
  corvid("resume --max-steps 1 " + id + " 'say hello to everybody'");
  server_->says(saying("Again."));
  const std::vector<Told> all = [&] {
    prompt(id, "third");
    Follower follower(server_->port(), id);
    std::vector<Told> told;
    do {
      told.push_back(follower.next());
    } while (told.back().event.value("answer", "") != "Again.");
    return told;
  }();
  std::vector<std::string> prompts;
  for (const Told& one : all) {
    if (one.type() == "prompted") prompts.push_back(one.event["text"]);
  }
  EXPECT_THAT(prompts, ElementsAre("a question", "say hello to everybody", "third"));
  // And the other way round.
  corvid("run --cwd " + work_.string() + " --max-steps 1 'another session'");
  EXPECT_EQ(server_->get("/v1/sessions").json()["sessions"].size(), 2u);
}

}  // namespace
}  // namespace corvid::runtime
