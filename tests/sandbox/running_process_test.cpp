// A process that runs while its owner does something else: what is typed into it, what it has said
// so far, and that it ends when it should. Confined, because its terminal is made in there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

#include "tests/sandbox/play.h"

namespace corvid::sandbox {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class RunningProcess : public testing::Test {
 protected:
  void start(ProcessSpec spec) {
    bool started = false;
    asio::co_spawn(io_, sandbox_->start(std::move(spec)),
                   [&](std::exception_ptr error, Process process) {
                     EXPECT_FALSE(error);
                     process_ = std::move(process);
                     started = true;
                   });
    while (!started) io_.run_one();
  }
  // Waits until it has said `text`, or has ended.
  void expect_output(const std::string& text) {
    while (said_.find(text) == std::string::npos && !process_.ended()) listen();
    EXPECT_THAT(said_, HasSubstr(text));
  }
  ProcessResult wait() {
    while (!process_.ended()) listen();
    ProcessResult last = process_.take();
    said_ += last.output;
    return last;
  }
  void listen() {
    io_.restart();
    io_.run_one_for(10ms);
    if (!process_.ended()) said_ += process_.take().output;
  }
  std::string here(const std::string& name) { return contents(folder_.path() / name); }

  ScratchFolder folder_;
  std::unique_ptr<Sandbox> sandbox_ = make_sandbox(default_policy(folder_.path()));
  asio::io_context io_;
  Process process_;
  std::string said_;
};

ProcessSpec open_shell(std::string command) {
  ProcessSpec spec = shell(std::move(command));
  spec.open_input = true;
  return spec;
}

ProcessSpec terminal_shell(std::string command) {
  ProcessSpec spec = shell(std::move(command));
  spec.terminal = true;
  return spec;
}

TEST_F(RunningProcess, IsAskedAndAnswers) {
  start(open_shell("while read line; do echo \"<$line>\"; done; echo over"));
  ASSERT_TRUE(process_.write("one\n"));
  expect_output("<one>\n");
  ASSERT_TRUE(process_.write("two\nthree\n"));
  expect_output("<three>\n");
  process_.close_input();
  const ProcessResult last = wait();
  EXPECT_EQ(last.exit_code, 0);
  EXPECT_EQ(said_, "<one>\n<two>\n<three>\nover\n");
}

TEST_F(RunningProcess, TakesMoreInputThanAPipeHolds) {
  start(open_shell("wc -c"));
  ASSERT_TRUE(process_.write(std::string(900'000, 'x')));
  process_.close_input();
  wait();
  EXPECT_EQ(said_, "900000\n");
}

TEST_F(RunningProcess, SaysWhenItDoesNotReadItsInput) {
  start(open_shell("sleep 1000"));
  const std::string block(1 << 20, 'x');
  EXPECT_TRUE(process_.write(block));  // in the pipe, or waiting to get into it
  EXPECT_FALSE(process_.write(block));
  process_.end();
  EXPECT_TRUE(wait().interrupted);
  EXPECT_FALSE(process_.write("x"));
}

TEST_F(RunningProcess, WithoutOpenInputTakesNone) {
  start(shell("sleep 1000"));
  EXPECT_FALSE(process_.write("x"));
}

TEST_F(RunningProcess, GivesEachPieceOfItsOutputOnce) {
  ProcessSpec spec = open_shell("seq 1 50000; read line; echo $line");
  spec.head_bytes = spec.tail_bytes = 100;
  spec.spill = folder_.path() / "spill";
  start(std::move(spec));
  while (!here("spill").ends_with("50000\n")) {
    io_.restart();
    io_.run_one_for(10ms);
  }
  const ProcessResult first = process_.take();
  EXPECT_FALSE(first.exit_code);
  EXPECT_EQ(first.output_bytes, here("spill").size());
  EXPECT_TRUE(first.tail.ends_with("49999\n50000\n"));
  process_.write("next\n");
  wait();
  EXPECT_EQ(said_, "next\n");
  EXPECT_TRUE(here("spill").ends_with("50000\nnext\n")) << "the file has all of it";
}

TEST_F(RunningProcess, HasATerminalOfItsOwn) {
  start(
      terminal_shell("test -t 0 && test -t 1 && test -t 2 && tty && stty size && "
                     "echo to the terminal >/dev/tty"));
  EXPECT_EQ(wait().exit_code, 0) << said_;
  EXPECT_THAT(said_, HasSubstr("/dev/pts/"));
  EXPECT_THAT(said_, HasSubstr("40 120\nto the terminal\n"));
}

TEST_F(RunningProcess, IsTypedToInItsTerminal) {
  start(
      terminal_shell("trap 'echo caught' INT; echo ready; while ! read line; do :; done; "
                     "echo \"<$line>\"; cat; echo over"));
  expect_output("ready\n");
  process_.write("\x03");  // Ctrl-C
  expect_output("caught\n");
  process_.write("hello\n");
  expect_output("<hello>\n");
  process_.write("\x04");  // Ctrl-D
  EXPECT_EQ(wait().exit_code, 0);
  EXPECT_TRUE(said_.ends_with("over\n")) << said_;
}

TEST_F(RunningProcess, CannotTypeIntoATerminal) {
  start(
      terminal_shell("python3 -c 'import fcntl\n"
                     "try: fcntl.ioctl(0, 0x5412, b\"x\")\n"
                     "except PermissionError: print(\"refused\")'"));
  wait();
  EXPECT_EQ(said_, "refused\n");
}

TEST_F(RunningProcess, KeepsItsErrorsApartWhenAsked) {
  ProcessSpec spec = shell("echo out; seq 1 10000 >&2; echo bad >&2");
  spec.errors_apart = true;
  start(std::move(spec));
  while (!process_.ended()) {
    io_.restart();
    io_.run_one();
  }
  const ProcessResult last = process_.take();
  EXPECT_EQ(last.output, "out\n");
  EXPECT_TRUE(last.errors.ends_with("9999\n10000\nbad\n")) << last.errors;
  EXPECT_LE(last.errors.size(), 4096u);
}

TEST_F(RunningProcess, CannotPlantAProtectedFileAndGoOn) {
  start(open_shell("echo evil > .envrc; echo planted; read line"));
  expect_output("planted\n");
  while (std::filesystem::exists(folder_.path() / ".envrc")) listen();
  process_.close_input();
  const ProcessResult last = wait();
  ASSERT_EQ(last.notices.size(), 1u);
  EXPECT_THAT(last.notices[0], HasSubstr(".envrc and took it away"));
}

TEST_F(RunningProcess, EndsWithItsOwner) {
  sandbox_ = plain(folder_.path());  // its process ids are ours
  start(open_shell("trap '' HUP TERM; sleep 1000 & echo $! > pid; echo ready; wait"));
  expect_output("ready\n");
  const pid_t pid = std::stoi(here("pid"));
  process_ = Process();
  while (::kill(pid, 0) == 0) ::usleep(1000);
}

TEST_F(RunningProcess, EndsAtItsDeadline) {
  ProcessSpec spec = terminal_shell("sleep 1000");
  spec.deadline = 200ms;
  start(std::move(spec));
  EXPECT_TRUE(wait().timed_out);
}

}  // namespace
}  // namespace corvid::sandbox
