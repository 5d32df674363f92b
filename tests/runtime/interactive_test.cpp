// The interactive session as a person meets it: the real program on a pseudo-terminal.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/runtime/model_server.h"
#include "tests/scratch_folder.h"

namespace corvid::tests {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// A home of its own and the program in it.
class Interactive : public testing::Test {
 protected:
  Interactive() { fs::create_directory(home_ / "work"); }
  ~Interactive() override { end(); }

  void start(const std::string& model, std::vector<std::string> more = {},
             const std::string& terminal = "xterm") {
    winsize size = {24, 80, 0, 0};
    screen_.clear();
    child_ = forkpty(&keys_, nullptr, nullptr, &size);
    ASSERT_GE(child_, 0);
    if (child_ > 0) return;
    const std::string home = "HOME=" + home_.string(), kind = "TERM=" + terminal;
    const char* environment[] = {home.c_str(), kind.c_str(), "PATH=/usr/bin:/bin", nullptr};
    std::vector<const char*> arguments = {CORVID_BINARY, "--model", model.c_str()};
    for (const std::string& argument : more) arguments.push_back(argument.c_str());
    arguments.push_back(nullptr);
    if (chdir((home_ / "work").c_str()) != 0) _exit(126);
    execve(CORVID_BINARY, const_cast<char**>(arguments.data()), const_cast<char**>(environment));
    _exit(127);
  }

  // At the first prompt.
  void open(const std::string& model) {
    start(model);
    ASSERT_TRUE(sees("> "));
  }
  void leave() {
    type("\x04");  // Ctrl-D
    EXPECT_EQ(end(), 0);
  }

  void type(std::string_view text) {
    ASSERT_EQ(write(keys_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  // Waits until `text` appears after what was seen before.
  testing::AssertionResult sees(const std::string& text) {
    const Clock::time_point until = Clock::now() + 20s;
    while (screen_.find(text, seen_) == std::string::npos && Clock::now() < until) {
      pollfd waited = {keys_, POLLIN, 0};
      if (poll(&waited, 1, 100) != 1) continue;
      char buffer[4096];
      const ssize_t n = read(keys_, buffer, sizeof buffer);
      if (n <= 0) break;
      screen_.append(buffer, static_cast<std::size_t>(n));
    }
    const std::size_t at = screen_.find(text, seen_);
    if (at == std::string::npos) {
      return testing::AssertionFailure() << "no \"" << text << "\" in: " << screen_.substr(seen_);
    }
    seen_ = at + text.size();
    return testing::AssertionSuccess();
  }

  int end() {
    if (child_ < 0) return -1;
    int status = 0;
    const Clock::time_point until = Clock::now() + 20s;
    while (waitpid(child_, &status, WNOHANG) == 0) {
      char buffer[4096];
      pollfd waited = {keys_, POLLIN, 0};
      if (poll(&waited, 1, 20) == 1) {
        const ssize_t n = read(keys_, buffer, sizeof buffer);
        if (n > 0) screen_.append(buffer, static_cast<std::size_t>(n));
      }
      if (Clock::now() > until) kill(child_, SIGKILL);
    }
    left_modes_ = {};
    tcgetattr(keys_, &left_modes_);
    close(keys_);
    child_ = -1;
    seen_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

  static std::string last_user_text(const ReceivedRequest& request) {
    const auto messages = nlohmann::json::parse(request.body)["messages"];
    return messages.back()["content"].get<std::string>();
  }

  // What the call before the server's request number `n` came to.
  static std::string last_result(const ModelServer& server, int n) {
    return last_user_text(server.posts().at(n));
  }

  ScratchFolder scratch_;
  const fs::path home_ = scratch_.path();
  pid_t child_ = -1;
  int keys_ = -1;
  termios left_modes_ = {};  // how the program left the terminal
  std::string screen_;
  std::size_t seen_ = 0;
};

TEST_F(Interactive, AnswersPromptsAndRemembersThem) {
  ModelServer server([](auto& out, const auto&, int n) {
    out.say("Answer " + std::to_string(n) + ".", "Let me see.");
  });
  open(server.url());
  type("hello\r");
  EXPECT_TRUE(sees("\x1b[2mLet me see.\x1b[0m"));
  EXPECT_TRUE(sees("Answer 0."));
  EXPECT_TRUE(sees("1 step, read 100 (90 reused), wrote 10 at "));
  ASSERT_TRUE(sees("> "));
  type("/stats\r");
  EXPECT_TRUE(sees("context: 110 tokens"));
  ASSERT_TRUE(sees("> "));
  type("/quit\r");
  EXPECT_TRUE(sees("corvid --resume"));
  EXPECT_EQ(end(), 0);

  start(server.url(), {"--resume"});
  ASSERT_TRUE(sees("> "));
  type("\x1b[A\x1b[A\x1b[A");  // up to the first line
  EXPECT_TRUE(sees("hello"));
  type(" again\r");
  EXPECT_TRUE(sees("Answer 1."));
  type("\x04");  // Ctrl-D
  EXPECT_EQ(end(), 0);
  ASSERT_EQ(server.posts().size(), 2u);
  EXPECT_EQ(last_user_text(server.posts()[1]), "hello again");
  EXPECT_NE(server.posts()[1].body.find("Answer 0."), std::string::npos);
}

TEST_F(Interactive, CtrlCStopsTheTurnAndKeepsTheSession) {
  std::atomic<bool> closed = false;
  ModelServer server([&](auto& out, const auto&, int n) {
    if (n > 0) return out.say("fine");
    out.start_stream();
    out.event(content_chunk("so far"));
    closed = out.closed_within(20s);
  });
  open(server.url());
  type("first\r");
  ASSERT_TRUE(sees("so far"));
  type("\x03");
  EXPECT_TRUE(sees("Interrupted; everything is kept."));
  ASSERT_TRUE(sees("> "));
  type("second\r");
  EXPECT_TRUE(sees("fine"));
  EXPECT_TRUE(closed);
  leave();
  EXPECT_NE(server.posts().at(1).body.find("so far"), std::string::npos);
}

TEST_F(Interactive, ASignalToEndLeavesAtOnceWithItsCode) {
  ModelServer server([&](auto& out, const auto&, int) {
    out.start_stream();
    out.event(content_chunk("so far"));
    out.closed_within(20s);
  });
  open(server.url());
  type("first\r");
  ASSERT_TRUE(sees("so far"));
  kill(child_, SIGTERM);
  EXPECT_EQ(end(), 130);
}

TEST_F(Interactive, CtrlCAtThePromptClearsTheLineAndTwiceLeaves) {
  ModelServer server([](auto& out, const auto&, int) { out.say("yes"); });
  open(server.url());
  type("do not send this");
  ASSERT_TRUE(sees("this"));
  type("\x03");
  ASSERT_TRUE(sees("^C"));
  type("send\r");
  EXPECT_TRUE(sees("yes"));
  ASSERT_TRUE(sees("> "));
  type("\x03");
  EXPECT_TRUE(sees("Ctrl-C again or Ctrl-D leaves"));
  ASSERT_TRUE(sees("> "));
  type("\x03");
  EXPECT_TRUE(sees("corvid --resume"));
  EXPECT_EQ(end(), 0);
  EXPECT_TRUE(left_modes_.c_lflag & ECHO);
  EXPECT_TRUE(left_modes_.c_lflag & ICANON);
  EXPECT_EQ(last_user_text(server.posts().at(0)), "send");
}

TEST_F(Interactive, APasteIsOnePromptWhateverItContains) {
  ModelServer server([](auto& out, const auto&, int) { out.say("yes"); });
  start(server.url());
  ASSERT_TRUE(sees("\x1b[?2004h"));
  type("\x1b[200~one\r\ttwo\x1b[31m\x02 three\x1b[201~\r");
  EXPECT_TRUE(sees("yes"));
  leave();
  ASSERT_EQ(server.posts().size(), 1u);
  EXPECT_EQ(last_user_text(server.posts()[0]), "one\n\ttwo[31m three");
}

TEST_F(Interactive, WhatTheModelSaysCannotCommandTheTerminal) {
  ModelServer server([](auto& out, const auto&, int) { out.say("\x1b]52;c;ZXZpbA==\x07 end"); });
  open(server.url());
  type("x\r");
  EXPECT_TRUE(sees("\\x1b]52;c;ZXZpbA==\\x07 end"));
  EXPECT_EQ(screen_.find("\x1b]52"), std::string::npos);
  ASSERT_TRUE(sees("> "));
  leave();
}

TEST_F(Interactive, ADumbTerminalGetsNoEscapeSequences) {
  ModelServer server([](auto& out, const auto&, int) { out.say("yes", "hm"); });
  start(server.url(), {}, "dumb");
  ASSERT_TRUE(sees("> "));
  type("x\n");
  EXPECT_TRUE(sees("thinking: hm"));
  EXPECT_TRUE(sees("yes"));
  ASSERT_TRUE(sees("> "));
  leave();
  EXPECT_EQ(screen_.find('\x1b'), std::string::npos) << screen_;
}

TEST_F(Interactive, AFailureIsSaidAndTheSessionGoesOn) {
  ModelServer server([](auto& out, const auto&, int n) {
    if (n == 0) return out.respond(400, "text/plain", "no such thing");
    out.say("better");
  });
  open(server.url());
  type("x\r");
  EXPECT_TRUE(sees("no such thing"));
  ASSERT_TRUE(sees("> "));
  type("y\r");
  EXPECT_TRUE(sees("better"));
  leave();
}

// Writes beside the workspace, then says what came of it.
ModelServer::Script writes_outside(std::vector<std::string> names) {
  return [names](ServerConnection& out, const ReceivedRequest& request, int n) {
    if (n < static_cast<int>(names.size())) {
      const nlohmann::json arguments = {{"path", "../beside/" + names[n]}, {"content", "x"}};
      return out.call("c" + std::to_string(n), "write", arguments.dump());
    }
    const auto messages = nlohmann::json::parse(request.body)["messages"];
    out.say("Result: " + messages.back()["content"].get<std::string>());
  };
}

TEST_F(Interactive, NamesTheCommandsThatRunInTheBackground) {
  ModelServer server([](auto& out, const auto&, int n) {
    if (n > 0) return out.say("started");
    const nlohmann::json arguments = {{"command", "sleep 100 #\x1b[2K"}, {"background", true}};
    out.call("c", "shell", arguments.dump());
  });
  open(server.url());
  type("/jobs\r");
  EXPECT_TRUE(sees("No command runs in the background."));
  ASSERT_TRUE(sees("> "));
  type("go\r");
  ASSERT_TRUE(sees("started"));
  ASSERT_TRUE(sees("> "));
  type("/jobs\r");
  EXPECT_TRUE(sees("job 1 (`sleep 100 #\\x1b[2K`) runs, "));
  leave();
}

TEST_F(Interactive, AsksForWhatTheSandboxDoesNotGive) {
  fs::create_directory(home_ / "beside");
  ModelServer server(writes_outside({"0.txt"}));
  open(server.url());
  type("go\r");
  ASSERT_TRUE(sees("May it write " + (home_ / "beside/0.txt").string()));
  ASSERT_TRUE(sees("n no: "));
  EXPECT_FALSE(fs::exists(home_ / "beside/0.txt"));
  type("y\r");
  EXPECT_TRUE(sees("Result: Created ../beside/0.txt, 1 bytes."));
  EXPECT_TRUE(fs::exists(home_ / "beside/0.txt"));
  leave();
}

// The second question is about another file.
TEST_F(Interactive, AlwaysHoldsForTheFileAndTheSession) {
  fs::create_directory(home_ / "beside");
  ModelServer server(writes_outside({"0.txt", "0.txt", "1.txt"}));
  open(server.url());
  type("go\r");
  ASSERT_TRUE(sees("n no: "));
  type("a\r");
  ASSERT_TRUE(sees("May it write " + (home_ / "beside/1.txt").string()));
  ASSERT_TRUE(sees("n no: "));
  type("n\r");
  EXPECT_TRUE(sees("The user was asked and said no."));
  EXPECT_NE(last_result(server, 2).find("Replaced ../beside/0.txt"), std::string::npos);
  EXPECT_FALSE(fs::exists(home_ / "beside/1.txt"));
  leave();
}

TEST_F(Interactive, NeverHoldsForTheFileAndTheSession) {
  fs::create_directory(home_ / "beside");
  ModelServer server(writes_outside({"0.txt", "0.txt", "1.txt"}));
  open(server.url());
  type("go\r");
  ASSERT_TRUE(sees("n no: "));
  type("v\r");
  ASSERT_TRUE(sees("May it write " + (home_ / "beside/1.txt").string()));
  ASSERT_TRUE(sees("n no: "));
  type("y\r");
  EXPECT_TRUE(sees("Result: Created ../beside/1.txt, 1 bytes."));
  EXPECT_NE(last_result(server, 2).find("never"), std::string::npos);
  EXPECT_FALSE(fs::exists(home_ / "beside/0.txt"));
  leave();
}

TEST_F(Interactive, AnythingElseIsANo) {
  fs::create_directory(home_ / "beside");
  ModelServer server(writes_outside({"0.txt", "1.txt"}));
  open(server.url());
  type("go\r");
  ASSERT_TRUE(sees("n no: "));
  type("\r");
  ASSERT_TRUE(sees("n no: "));
  type("\x03");  // Ctrl-C
  EXPECT_TRUE(sees("The user was asked and said no."));
  EXPECT_TRUE(fs::is_empty(home_ / "beside"));
  leave();
}

TEST_F(Interactive, AsksAboutAHostWhileTheCommandWaits) {
  ModelServer server([](auto& out, const auto& request, int n) {
    const nlohmann::json arguments = {
        {"command",
         "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT example.invalid:443 "
         "HTTP/1.1\\r\\n\\r\\n' >&3; head -1 <&3"}};
    if (n == 0) return out.call("c", "shell", arguments.dump());
    const auto messages = nlohmann::json::parse(request.body)["messages"];
    out.say("Result: " + messages.back()["content"].template get<std::string>());
  });
  open(server.url());
  type("go\r");
  ASSERT_TRUE(sees("May it reach example.invalid over the network?"));
  ASSERT_TRUE(sees("n no: "));
  type("n\r");
  EXPECT_TRUE(sees("Result: HTTP/1.1 403 Forbidden"));
  leave();
}

TEST_F(Interactive, WhatWasTypedBeforeTheQuestionIsNoAnswer) {
  fs::create_directory(home_ / "beside");
  std::atomic<bool> typed = false;
  const auto script = writes_outside({"0.txt"});
  ModelServer server([&](auto& out, const auto& request, int n) {
    while (!typed) std::this_thread::sleep_for(1ms);
    script(out, request, n);
  });
  open(server.url());
  type("go\r");
  while (server.posts().empty()) std::this_thread::sleep_for(1ms);
  type("y\r");
  typed = true;
  ASSERT_TRUE(sees("n no: "));
  EXPECT_TRUE(fs::is_empty(home_ / "beside"));
  type("n\r");
  EXPECT_TRUE(sees("The user was asked and said no."));
  EXPECT_TRUE(fs::is_empty(home_ / "beside"));
  leave();
}

TEST_F(Interactive, APluginOfTheProjectIsAskedAboutOnceAndAgainWhenItChanges) {
  const auto write_plugin = [&](const std::string& description) {
    fs::create_directories(home_ / "work/.corvid/plugins/local");
    std::ofstream(home_ / "work/.corvid/plugins/local/plugin.lua")
        << "return {api = 1, description = '" << description
        << "', tools = {{name = 'chirp', description = 'Chirps.', run = print}}}";
  };
  const auto visit = [&](const std::string& question, const std::string& answer) {
    start("http://127.0.0.1:1/v1#none");
    if (!question.empty()) {
      ASSERT_TRUE(sees(question));
      ASSERT_TRUE(sees("n no: "));
      type(answer);
    }
    ASSERT_TRUE(sees("/help lists what else there is"));
    ASSERT_TRUE(sees("> "));
    leave();
  };
  write_plugin("first\\27[2K");
  visit("The project brings the plugin local: first\\x1b[2K", "n\r");
  EXPECT_NE(screen_.find("The project brings a plugin named local."), std::string::npos);
  visit("The project brings the plugin local", "y\r");
  EXPECT_NE(screen_.find("tools: chirp"), std::string::npos);
  visit("", "");
  EXPECT_EQ(screen_.find("plugin"), std::string::npos) << screen_;
  write_plugin("second");
  visit("The project has changed the plugin local: second", "y\r");
  visit("", "");
}

TEST_F(Interactive, AQuestionShowsEveryByte) {
  ModelServer server([](auto& out, const auto&, int n) {
    if (n > 0) return out.say("done");
    const nlohmann::json arguments = {{"path", "/tmp/\x1b[2K\u202e\u200b/x"}, {"content", "x"}};
    out.call("c", "write", arguments.dump());
  });
  open(server.url());
  type("go\r");
  EXPECT_TRUE(sees("May it write /tmp/\\x1b[2K\\u{202e}\\u{200b}/x"));
  ASSERT_TRUE(sees("n no: "));
  EXPECT_EQ(screen_.find("\x1b[2K\u202e"), std::string::npos);
  type("n\r");
  EXPECT_TRUE(sees("done"));
  leave();
}

TEST_F(Interactive, WithoutATerminalItSaysWhatToDoInstead) {
  const std::string command = "HOME=" + home_.string() + " " CORVID_BINARY " </dev/null 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string said;
  for (int c; (c = fgetc(pipe)) != EOF;) said += static_cast<char>(c);
  EXPECT_EQ(WEXITSTATUS(pclose(pipe)), 2);
  EXPECT_NE(said.find("corvid run"), std::string::npos) << said;
}

}  // namespace
}  // namespace corvid::tests
