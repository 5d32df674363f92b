// Commands in the background as a model meets them: started, asked, typed into and stopped through
// shell.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "sandbox/files.h"
#include "tests/tools/workshop.h"
#include "tools/toolbox.h"

namespace corvid::tools {
namespace {

using nlohmann::ordered_json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

class JobsTest : public testing::Test {
 protected:
  JobsTest() {
    for (auto& tool : builtin_tools()) toolbox_->add(std::move(tool));
  }

  std::string call(const std::string& name, const ordered_json& arguments) {
    const std::string id = "call " + std::to_string(++n_calls_);
    return finish(io_, toolbox_->run({{id, name, arguments.dump()}}, context_, observer_))[0].text;
  }
  std::string start(const std::string& command) {
    return call("shell", {{"command", command}, {"background", true}});
  }
  // What the job has said by the time it says `text`, or ends.
  std::string until(int id, const std::string& text, std::string said = {}) {
    while (said.find(text) == said.npos && said.find("[exit") == said.npos) {
      said += call("shell", {{"job", id}, {"timeout", 0}});
    }
    return said;
  }

  ScratchFolder folder_, spill_;
  asio::io_context io_;
  asio::thread_pool pool_{2};
  sandbox::Policy policy_ = sandbox::default_policy(folder_.path());
  std::unique_ptr<sandbox::Sandbox> sandbox_ = sandbox::make_sandbox(policy_);
  sandbox::Files files_{policy_};
  ToolContext context_{*sandbox_, files_, pool_, spill_.path()};
  Toolbox::Observer observer_;
  std::optional<Toolbox> toolbox_{std::in_place};
  int n_calls_ = 0;
};

TEST_F(JobsTest, AJobGoesOnWhileOtherCommandsRun) {
  EXPECT_THAT(start("echo up; until [ -e go ]; do sleep 0.01; done; echo done; exit 3"),
              MatchesRegex("(up\n)?\\[job 1 runs, [0-9]+ s\\]"));
  EXPECT_THAT(call("shell", {{"command", "touch go"}}), EndsWith("[exit 0]"));
  EXPECT_EQ(call("shell", {{"job", 1}, {"timeout", 60}}), "done\n[exit 3]");
  EXPECT_THAT(call("shell", {{"job", 1}}), StartsWith("Error: there is no job 1; "));
}

TEST_F(JobsTest, AJobThatEndsAtOnceSaysHow) {
  EXPECT_EQ(start("echo broken >&2; exit 7"), "broken\n[exit 7]");
  EXPECT_EQ(call("shell", ordered_json::object()), "Error: `command` is missing, or `job`.");
}

TEST_F(JobsTest, TakesInputAndItsEnd) {
  start("while read line; do echo \"<$line>\"; done; echo over");
  call("shell", {{"job", 1}, {"input", "hello\n"}, {"timeout", 0}});
  EXPECT_THAT(call("shell", {{"job", 1}, {"input", "bye\n\x04"}, {"timeout", 60}}),
              EndsWith("<bye>\nover\n[exit 0]"));
}

TEST_F(JobsTest, TypesIntoATerminal) {
  const std::string command = "python3 -q -i -c 'print(\"ready\", input.__name__)'";
  call("shell", {{"command", command}, {"background", true}, {"tty", true}});
  const auto type = [&](const std::string& line) {  // what it says so soon is part of the answer
    return call("shell", {{"job", 1}, {"input", line}, {"timeout", 0}});
  };
  EXPECT_THAT(until(1, "42\n", type("print(6 * 7)\n")), HasSubstr("42\n"));
  EXPECT_THAT(until(1, "[exit", type("raise SystemExit(4)\n")), EndsWith("[exit 4]"));
}

TEST_F(JobsTest, IsStopped) {
  start("trap '' TERM; echo ready; while :; do sleep 1000; done");
  EXPECT_THAT(call("shell", {{"job", 1}, {"stop", true}}), EndsWith("[job 1 stopped, signal 9]"));
  EXPECT_EQ(call("shell", ordered_json::object()), "Error: `command` is missing, or `job`.");
}

TEST_F(JobsTest, ListsThoseThatRun) {
  start("sleep 1000");
  EXPECT_THAT(start("sleep 2000"), MatchesRegex("\\[job 1 \\(`sleep 1000`\\) runs, [0-9]+ s\\]\n"
                                                "\\[job 2 runs, [0-9]+ s\\]"));
  EXPECT_THAT(call("shell", ordered_json::object()),
              MatchesRegex("Error: .*\njob 1 \\(`sleep 1000`\\) runs, [0-9]+ s\n"
                           "job 2 \\(`sleep 2000`\\) runs, [0-9]+ s"));
  EXPECT_THAT(call("shell", {{"job", 9}}), HasSubstr("\njob 1 (`sleep 1000`) runs, "));
  for (const std::uint64_t number : {4294967297ULL, ~0ULL}) {
    EXPECT_THAT(call("shell", {{"job", number}, {"stop", true}}),
                StartsWith("Error: there is no job " + std::to_string(number) + "; "));
  }
}

TEST_F(JobsTest, TheEndOfAJobShowsInTheNextResult) {
  start("until [ -e go ]; do sleep 0.01; done");
  std::string text;
  do text = call("shell", {{"command", "touch go; sleep 0.05"}});
  while (text == "[exit 0]");
  EXPECT_THAT(text, HasSubstr("has ended: shell {\"job\": 1} shows how]\n[exit 0]"));
  EXPECT_EQ(call("shell", {{"command", "true"}}), "[exit 0]") << "once is enough";
  EXPECT_EQ(call("shell", {{"job", 1}}), "[exit 0]");
}

TEST_F(JobsTest, GivesOutputOnceAndKeepsAllOfItInAFile) {
  context_.result_budget_bytes = 2000;
  until(1, "end\n", start("seq 1 20000; echo end; read line; echo $line"));
  EXPECT_THAT(call("shell", {{"job", 1}, {"input", "last\n"}, {"timeout", 60}}), "last\n[exit 0]");
  std::string whole;
  for (int i = 1; i <= 20000; ++i) whole += std::to_string(i) + "\n";
  EXPECT_EQ(spill_.get("job-1.txt"), whole + "end\nlast\n");
}

TEST_F(JobsTest, StreamsWhatItSaysWhileSomebodyWaits) {
  std::string seen;
  observer_.output = [&](const ToolCall&, std::string_view text) { seen += text; };
  start("read line; echo \"caf\xC3\xA9 $line\"");
  call("shell", {{"job", 1}, {"input", "now\n"}, {"timeout", 60}});
  EXPECT_EQ(seen, "caf\xC3\xA9 now\n");
}

TEST_F(JobsTest, SaysWhatMakesNoSense) {
  EXPECT_THAT(call("shell", {{"command", "true"}, {"job", 1}}), HasSubstr("not both"));
  EXPECT_THAT(call("shell", {{"command", "cat"}, {"input", "x"}}), HasSubstr("for a `job`"));
  start("sleep 1000");
  call("shell", {{"job", 1}, {"input", "\x04"}, {"timeout", 0}});
  EXPECT_THAT(call("shell", {{"job", 1}, {"input", "x"}, {"timeout", 0}}),
              HasSubstr("[the input was not taken"));
}

TEST_F(JobsTest, NotMoreThanAFewAtATime) {
  for (int i = 0; i < 8; ++i) EXPECT_THAT(start("sleep 1000"), HasSubstr(" runs, "));
  EXPECT_THAT(start("sleep 1000"), StartsWith("Error: as many jobs run as may; stop one first:"));
}

TEST_F(JobsTest, EndWithTheSession) {
  // Whoever of the job still lives holds the pipe open for writing; a reader sees its end when none
  // does.
  const std::string pipe = (folder_.path() / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0666), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  start("exec >pipe; trap '' TERM HUP; sleep 1000 & echo up; wait; sleep 1000");
  char said[32];
  pollfd up{.fd = reader, .events = POLLIN, .revents = 0};
  poll(&up, 1, -1);
  ASSERT_EQ(read(reader, said, sizeof said), 3);
  ASSERT_EQ(read(reader, said, sizeof said), -1) << "the job has gone";
  toolbox_.reset();
  sandbox_.reset();  // returns when everything has ended
  EXPECT_EQ(read(reader, said, sizeof said), 0);
  close(reader);
}

TEST_F(JobsTest, AnInterruptStopsTheWaitingNotTheJob) {
  start("sleep 1000");
  asio::cancellation_signal cancel;
  observer_.started = [&](const ToolCall&) {
    asio::post(io_, [&] { cancel.emit(asio::cancellation_type::terminal); });
  };
  std::vector<ToolResult> results;
  asio::co_spawn(
      io_, toolbox_->run({{"w", "shell", R"({"job":1,"timeout":3600})"}}, context_, observer_),
      asio::bind_cancellation_slot(cancel.slot(),
                                   [&](std::exception_ptr error, std::vector<ToolResult> all) {
                                     EXPECT_FALSE(error);
                                     results = std::move(all);
                                   }));
  io_.restart();
  io_.run_one();
  while (results.empty()) io_.run_one();
  EXPECT_THAT(results[0].text, StartsWith("[job 1 runs, "));
  observer_.started = nullptr;
  EXPECT_THAT(call("shell", {{"job", 1}, {"stop", true}}), EndsWith("[job 1 stopped, signal 15]"));
}

}  // namespace
}  // namespace corvid::tools
