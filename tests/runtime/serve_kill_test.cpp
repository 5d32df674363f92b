// What a server that is killed leaves behind: the program itself, a session that it replays, and
// SIGKILL.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/journal.h"
#include "runtime/folders.h"
#include "runtime/record.h"
#include "tests/runtime/serving.h"
#include "tests/scratch_folder.h"

namespace corvid::runtime {
namespace {

// `corvid serve` as a process of its own.
class ServeProcess {
 public:
  explicit ServeProcess(const std::string& folder) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    child_ = fork();
    if (child_ == 0) {
      dup2(ends[1], 2);
      close(ends[0]);
      const std::string disk = folder + "/kv";
      execl(CORVID_BINARY, CORVID_BINARY, "serve", "--port", "0", "--model", "replay:", "--kv-disk",
            disk.c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    errors_ = fdopen(ends[0], "r");
    constexpr std::string_view kUrl = "http://127.0.0.1:";
    for (char line[1000]; port_ == 0 && fgets(line, sizeof line, errors_);) {
      const std::size_t at = std::string_view(line).find(kUrl);
      if (at != std::string_view::npos) port_ = std::atoi(line + at + kUrl.size());
    }
    EXPECT_GT(port_, 0);
  }
  ~ServeProcess() {
    if (child_ > 0) end(SIGKILL);
    fclose(errors_);
  }
  // Its exit code; negative: what ended it.
  int end(int signal) {
    int status = 0;
    kill(child_, signal);
    waitpid(child_, &status, 0);
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  int port() const { return port_; }
  Json post(const Json& body) const {
    TestClient client(port_);
    client.request("POST", "/v1/chat/completions", body.dump());
    const HttpResponse response = client.response();
    EXPECT_EQ(response.status, 200) << response.body;
    return response.json();
  }

 private:
  pid_t child_ = 0;
  FILE* errors_ = nullptr;
  int port_ = 0;
};

// A session in the journal for the server to replay.
void journal_replies(const std::vector<model::Turn>& turns) {
  const ScriptedModel scripted;
  memory::SessionHeader header;
  header.model = kBuiltinModel;
  header.model_fingerprint = scripted.model.engine->fingerprint();
  header.chat_format = scripted.model.format->name();
  header.tools = "[]";
  const auto journal = memory::Journal::open(sessions_file());
  const std::string id = journal->create(header);
  for (model::Turn turn : turns) {
    turn.tokens = scripted.tokens_of(turn);
    journal->append(id, turn_step({turn, ""}));
  }
}

TEST(ServeKill, WhatTheModelSaidIsFoundAgain) {
  const ScratchFolder folder;
  setenv("XDG_DATA_HOME", folder.path().c_str(), 1);
  journal_replies({calling("shell", R"({"command": "ls"})", "A thought that the client drops."),
                   saying("Three."), saying("Three.")});
  Json body = Json::parse(R"({"messages": [{"role": "user", "content": "How many files?"}], "tools":
      [{"type": "function", "function": {"name": "shell", "parameters": {"type": "object"}}}]})");
  int before = 0, forged = 0;
  {
    const ServeProcess server(folder.path());
    Json message = server.post(body)["choices"][0]["message"];
    ASSERT_EQ(message["reasoning_content"], "A thought that the client drops.");
    message.erase("reasoning_content");
    const Json id = message["tool_calls"][0]["id"];
    body["messages"].push_back(message);
    body["messages"].push_back({{"role", "tool"}, {"tool_call_id", id}, {"content", "a b c"}});
    before = server.post(body)["usage"]["prompt_tokens"];
    Json other = body;
    other["messages"][1]["tool_calls"][0]["id"] = "call_x";
    other["messages"][2]["tool_call_id"] = "call_x";
    forged = server.post(other)["usage"]["prompt_tokens"];
  }                           // killed
  EXPECT_LT(forged, before);  // without the reasoning
  const ServeProcess server(folder.path());
  EXPECT_EQ(server.post(body)["usage"]["prompt_tokens"], before);
}

TEST(ServeKill, OneThatIsToldToEndSavesWhatItHasComputed) {
  const ScratchFolder folder;
  setenv("XDG_DATA_HOME", folder.path().c_str(), 1);
  journal_replies({calling("shell", R"({"command": "ls"})", "I look."),
                   saying("There are " + std::string(3000, 'x'))});
  Json body = Json::parse(R"({"messages": [{"role": "user", "content": "How many files?"}], "tools":
      [{"type": "function", "function": {"name": "shell", "parameters": {"type": "object"}}}]})");
  {
    ServeProcess server(folder.path());
    const Json message = server.post(body)["choices"][0]["message"];
    body["messages"].push_back(message);
    body["messages"].push_back(
        {{"role", "tool"}, {"tool_call_id", message["tool_calls"][0]["id"]}, {"content", "a b c"}});
    Json streamed = body;
    streamed["stream"] = true;
    TestClient client(server.port());
    client.request("POST", "/v1/chat/completions", streamed.dump());
    std::string told;
    // However many tokens come at a time, the first of many pieces of the text begins so.
    while (told.find(R"("content":"x)") == told.npos && told.find("[DONE]") == told.npos) {
      told += client.read_some();
    }
    EXPECT_EQ(server.end(SIGTERM), 0);
    EXPECT_EQ(told.find("[DONE]"), told.npos);
  }
  const ServeProcess server(folder.path());
  EXPECT_EQ(server.post(body)["usage"]["prompt_cache_miss_tokens"], 1);
}

}  // namespace
}  // namespace corvid::runtime
