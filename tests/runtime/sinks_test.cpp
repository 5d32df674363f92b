#include "runtime/sinks.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

namespace corvid::runtime {
namespace {

// A pipe whose reader reads when it is told to.
class Pipe {
 public:
  Pipe() {
    if (pipe2(ends_, O_CLOEXEC) != 0) std::abort();
  }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  int writer() const { return ends_[1]; }
  void close_reader() { shut(ends_[0]); }
  void close_writer() { shut(ends_[1]); }
  std::string read_all() {
    close_writer();
    return read_until_closed();
  }
  std::string read_until_closed() {
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(ends_[0], buffer, sizeof buffer)) > 0;) text.append(buffer, n);
    return text;
  }

 private:
  static void shut(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
  int ends_[2];
};

Event event(EventBody body) {
  return {1, "abcd", std::move(body)};
}

TEST(PlainSink, OnlyTheFinalAnswerGoesToTheOutput) {
  Pipe out, log;
  PlainSink sink(out.writer(), log.writer());
  sink.receive(event(ReasoningDelta{"hm"}));
  sink.receive(event(ContentDelta{"3 fi"}));
  sink.receive(event(CallStarted{{"c", "shell", R"({"command": "ls\nrm"})"}}));
  sink.receive(event(CallFinished{"shell", {"c", "a\nb\n[exit 0]", false}}));
  sink.receive(event(Notice{"A notice."}));
  sink.receive(event(TurnFinished{model::Stop::end, "3 files", 2}));
  EXPECT_EQ(out.read_all(), "3 files\n");
  EXPECT_EQ(log.read_all(), "> shell {\"command\": \"ls\\nrm\"}\n  a (and 1 line)\nA notice.\n");
}

TEST(PlainSink, AResultIsOneLineThatSaysHowACommandEndedUnlessItEndedWell) {
  Pipe out, log;
  PlainSink sink(out.writer(), log.writer());
  for (const char* text :
       {"3\n[exit 0]", "[exit 0]", "[exit 7]", "a\nb\nc\n[exit 1]", "Edited x."}) {
    sink.receive(event(CallFinished{"shell", {"c", text, false}}));
  }
  EXPECT_EQ(log.read_all(),
            "  3\n  [exit 0]\n  [exit 7]\n  a (and 2 lines) [exit 1]\n  Edited x.\n");
}

TEST(PlainSink, AnAnswerThatCannotBeWrittenIsAProblemUnlessTheReaderHasGone) {
  std::signal(SIGPIPE, SIG_IGN);
  const Event answer = event(TurnFinished{model::Stop::end, "3 files", 2});
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  PlainSink to_full_disk(full, STDERR_FILENO);
  to_full_disk.receive(answer);
  EXPECT_EQ(to_full_disk.problem(), ENOSPC);
  ::close(full);
  Pipe out;
  PlainSink to_nobody(out.writer(), STDERR_FILENO);
  out.close_reader();
  to_nobody.receive(answer);
  EXPECT_EQ(to_nobody.problem(), 0);
}

TEST(PlainSink, NothingThatATerminalWouldObeyReachesTheLog) {
  Pipe out, log;
  PlainSink sink(out.writer(), log.writer());
  sink.receive(event(CallFinished{"shell", {"c", "\x1b]0;title\x07\x1b[2J", false}}));
  const std::string text = log.read_all();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
}

TEST(JsonSink, AFullPipeLosesDeltasAndKeepsSteps) {
  Pipe out;
  JsonSink sink(out.writer());
  const std::string text(3000, 'x');
  for (int i = 0; i < 1000; ++i) sink.receive(event(ContentDelta{text}));  // nobody reads yet
  std::string all;
  std::jthread reader([&] { all = out.read_until_closed(); });
  sink.receive(event(TurnFinished{model::Stop::end, "the answer", 1}));
  out.close_writer();
  reader.join();
  EXPECT_LT(all.size(), 200'000u);
  const std::size_t last = all.rfind('\n', all.size() - 2);
  EXPECT_EQ(nlohmann::json::parse(all.substr(last)).at("answer"), "the answer");
}

TEST(JsonSink, AReaderThatHasGoneAwayIsNoHarm) {
  std::signal(SIGPIPE, SIG_IGN);  // as in main()
  Pipe out;
  JsonSink sink(out.writer());
  out.close_reader();
  for (int i = 0; i < 3; ++i) sink.receive(event(Notice{"x"}));
}

TEST(StatsSink, PrintsEveryStepAndTheSum) {
  Pipe log;
  StatsSink sink(log.writer());
  model::Turn turn;
  turn.usage = {100, 20, 30, 4, 0.5, 0.25};
  sink.receive(event(StepFinished{turn}));
  sink.receive(event(StepFinished{turn}));
  sink.receive(event(TurnFinished{model::Stop::end, "", 2}));
  const std::string text = log.read_all();
  EXPECT_NE(text.find("step 2"), std::string::npos) << text;
  EXPECT_NE(text.find("total    prefilled    200"), std::string::npos) << text;
}

}  // namespace
}  // namespace corvid::runtime
