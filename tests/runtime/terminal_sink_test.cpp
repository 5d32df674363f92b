// What is written to a terminal, byte by byte, on a pseudo-terminal.
#include "runtime/terminal_sink.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace corvid::runtime {
namespace {

class Screen : public testing::Test {
 protected:
  Screen() {
    winsize size = {24, 40, 0, 0};
    EXPECT_EQ(openpty(&ours_, &theirs_, nullptr, nullptr, &size), 0);
    termios modes;
    tcgetattr(theirs_, &modes);
    cfmakeraw(&modes);
    tcsetattr(theirs_, TCSANOW, &modes);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
  }
  ~Screen() override {
    close(ours_);
    close(theirs_);
  }

  std::string written() {
    std::string text;
    pollfd waited = {ours_, POLLIN, 0};
    while (poll(&waited, 1, 50) == 1) {
      char buffer[4096];
      const ssize_t n = read(ours_, buffer, sizeof buffer);
      if (n <= 0) break;
      text.append(buffer, static_cast<std::size_t>(n));
    }
    return text;
  }

  // The events of a small session.
  std::string play() {
    TerminalOutput out(theirs_);
    TerminalSink sink(out);
    const auto publish = [&](EventBody body) { sink.receive(Event{1, "s", std::move(body)}); };
    publish(Progress{"reading the prompt", 0.5});
    publish(ReasoningDelta{"I look."});
    publish(ContentDelta{"Looking \x1b[31mnow"});
    model::ToolCall call{"c", "shell", R"({"command": "ls | wc\u202e"})"};
    publish(CallDelta{"shell"});
    publish(StepFinished{});
    publish(CallStarted{call});
    std::string output;
    for (int i = 1; i <= 20; ++i) output += "line " + std::to_string(i) + " \x1b]0;evil\x07\n";
    publish(CallFinished{"shell", {"c", output + "[exit 0]", false}});
    publish(ContentDelta{"Twenty."});
    model::Turn turn;
    turn.usage = {100, 900, 50, 10, 1, 2};
    publish(StepFinished{turn});
    publish(TurnFinished{model::Stop::end, "Twenty.", 2});
    return written();
  }

  int ours_ = -1, theirs_ = -1;
};

TEST_F(Screen, ATurnLooksLikeThis) {
  const std::string text = play();
  EXPECT_NE(text.find("reading the prompt 50%"), std::string::npos);
  EXPECT_NE(text.find("\r\x1b[K\x1b[2mI look.\x1b[0m\nLooking \\x1b[31mnow\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("● \x1b[1mshell\x1b[0m  ls | wc\\u{202e}\n"), std::string::npos) << text;
  EXPECT_NE(text.find("line 4"), std::string::npos);
  EXPECT_EQ(text.find("line 5"), std::string::npos);
  EXPECT_NE(text.find("… 14 more lines"), std::string::npos);
  EXPECT_NE(text.find("[exit 0]"), std::string::npos);
  EXPECT_NE(text.find("Twenty.\n"), std::string::npos);
  EXPECT_NE(text.find("2 steps, read 1000 (900 reused), wrote 60 at 30.0 tokens/s"),
            std::string::npos);
  EXPECT_EQ(text.find("\x1b]"), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
}

TEST_F(Screen, WithNoColorThereAreNoStyles) {
  setenv("NO_COLOR", "1", 1);
  const std::string text = play();
  EXPECT_EQ(text.find("\x1b[2m"), std::string::npos);
  EXPECT_EQ(text.find("\x1b[1m"), std::string::npos);
  EXPECT_NE(text.find("thinking: I look.\n"), std::string::npos);
}

TEST_F(Screen, ADumbTerminalGetsPlainLines) {
  setenv("TERM", "dumb", 1);
  const std::string text = play();
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_EQ(text.find("reading the prompt"), std::string::npos);
  EXPECT_NE(text.find("Twenty.\n"), std::string::npos);
}

TEST_F(Screen, ResultsAndPassingLinesStayInsideNarrowTerminals) {
  for (const unsigned short columns : {8, 20, 200}) {
    winsize size = {24, columns, 0, 0};
    ioctl(theirs_, TIOCSWINSZ, &size);
    TerminalOutput out(theirs_);
    TerminalSink sink(out);
    sink.receive({1, "s", Progress{std::string(300, 'p'), 0}});
    sink.receive({2, "s", CallFinished{"shell", {"c", std::string(300, 'x'), false}}});
    const std::string text = written();
    EXPECT_LT(std::count(text.begin(), text.end(), 'p'), columns);
    EXPECT_LT(std::count(text.begin(), text.end(), 'x'), std::max<int>(columns, 9));
  }
}

TEST_F(Screen, ATerminalThatTakesNothingDoesNotHoldUpTheSession) {
  TerminalOutput out(theirs_);
  for (int i = 0; i < 2000; ++i) out.write(std::string(1000, 'x'));  // nobody reads
  EXPECT_FALSE(out.flush(std::chrono::milliseconds(1)));
  std::string text;
  const auto read_all = [&] {
    for (int i = 0; i < 200 && !out.flush(std::chrono::milliseconds(1)); ++i) text += written();
    text += written();
  };
  read_all();
  out.write("after\n");
  read_all();
  EXPECT_LT(text.size(), 500'000u);
  EXPECT_NE(text.find("bytes are not shown"), std::string::npos);
  EXPECT_NE(text.find("after\n"), std::string::npos);
}

TEST(CallSummary, ShowsShortArgumentsAndTheSizeOfLongOnes) {
  EXPECT_EQ(call_summary({"c", "shell", R"({"command": "ls -l"})"}), "shell  ls -l");
  EXPECT_EQ(call_summary({"c", "write", R"({"path": "a.txt", "content": "x\ny\n"})"}),
            "write  a.txt  content=(2 lines)");
  EXPECT_EQ(call_summary({"c", "read", R"({"path": "a", "from": 3})"}), "read  a  from=3");
  EXPECT_EQ(call_summary({"c", "shell", R"({"command": "a\nb"})"}), "shell  a … (2 lines)");
  model::ToolCall broken{"c", "shell", "{}"};
  broken.problem = "the arguments are not valid JSON";
  EXPECT_EQ(call_summary(broken), "shell  (the arguments are not valid JSON)");
}

TEST(Folded, KeepsShortResultsWhole) {
  EXPECT_EQ(folded("a\nb\n", 80), "a\nb\n");
  EXPECT_EQ(folded("1\n2\n3\n4\n5\n6\n7\n8\n", 80), "1\n2\n3\n4\n5\n6\n7\n8\n");
  EXPECT_EQ(folded("1\n2\n3\n4\n5\n6\n7\n8\n9\n", 80), "1\n2\n3\n4\n… 2 more lines\n7\n8\n9\n");
}

}  // namespace
}  // namespace corvid::runtime
