// Processes end when they should, take nothing with them and leave nothing behind. Sandbox off:
// these promises do not depend on confinement.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <thread>

#include "sandbox/error.h"
#include "tests/sandbox/play.h"

namespace corvid::sandbox {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class Process : public testing::Test {
 protected:
  ProcessResult run(ProcessSpec spec) { return sandbox::run(*sandbox_, std::move(spec)); }
  ProcessResult run(std::string command) { return run(shell(std::move(command))); }
  /// Runs it into a deadline that leaves it the time to write the file `pid`.
  ProcessResult run_into_deadline(const ProcessSpec& spec) {
    ProcessSpec timed = spec;
    timed.deadline = 300ms;
    for (;;) {
      const ProcessResult result = run(timed);
      if (!contents(folder_.path() / "pid").empty()) return result;
      timed.deadline *= 2;
    }
  }
  pid_t pid_in(const std::string& name) { return std::stoi(contents(folder_.path() / name)); }

  ScratchFolder folder_;
  std::unique_ptr<Sandbox> sandbox_ = plain(folder_.path());
};

bool alive(pid_t pid) {
  return ::kill(pid, 0) == 0;
}

TEST_F(Process, GivesOutputAndExitCode) {
  const ProcessResult result = run("echo out; echo err >&2; exit 3");
  EXPECT_EQ(result.output, "out\nerr\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_FALSE(result.signal);
}

TEST_F(Process, NamesTheSignalThatKilledIt) {
  const ProcessResult result = run("kill -SEGV $$");
  EXPECT_EQ(result.signal, SIGSEGV);
  EXPECT_FALSE(result.exit_code);
}

TEST_F(Process, RunsInTheWorkspaceOrTheGivenFolder) {
  EXPECT_EQ(run("pwd").output, folder_.path().string() + "\n");
  ProcessSpec spec = shell("pwd");
  spec.cwd = "/usr";
  EXPECT_EQ(run(spec).output, "/usr\n");
}

TEST_F(Process, ACommandThatDoesNotExistIsAnErrorOfTheCommand) {
  ProcessSpec spec;
  spec.argv = {"no-such-command"};
  try {
    run(spec);
    FAIL();
  } catch (const SandboxError& error) {
    EXPECT_THAT(error.what(), HasSubstr("command: cannot start `no-such-command`: "));
  }
}

TEST_F(Process, StdinIsEmptyOrWhatWasGiven) {
  EXPECT_EQ(run("cat; echo end").output, "end\n");
  ProcessSpec spec = shell("cat");
  spec.input = std::string(300'000, 'x') + "\n";
  spec.head_bytes = 1 << 20;
  EXPECT_EQ(run(spec).output, spec.input);
}

TEST_F(Process, HasNoTerminalToAskForAPassword) {
  EXPECT_NE(run("exec 3</dev/tty").exit_code, 0);
}

TEST_F(Process, TakesCommandLinesOfAnyLength) {
  const std::string text(100'000, 'y');
  ProcessSpec spec = shell("echo " + text);
  spec.head_bytes = 1 << 20;
  EXPECT_EQ(run(spec).output, text + "\n");
}

TEST_F(Process, InheritsNoDescriptors) {
  EXPECT_EQ(run("ls /proc/self/fd | sort -n | tr '\\n' ' '").output, "0 1 2 3 ");  // 3 is ls's own
}

TEST_F(Process, InheritsNoSecretsOfTheEnvironment) {
  setenv("SOME_API_KEY", "hush", 1);
  setenv("LD_PRELOAD_X", "hush", 1);
  const std::string output = run("env").output;
  unsetenv("SOME_API_KEY");
  unsetenv("LD_PRELOAD_X");
  EXPECT_THAT(output, Not(HasSubstr("hush")));
  EXPECT_THAT(output, HasSubstr("PATH="));
}

TEST_F(Process, GivesTheExtraEnvironment) {
  ProcessSpec spec = shell("echo $TERM $MINE");
  spec.extra_environment = {{"TERM", "xterm"}, {"MINE", "yes"}};
  EXPECT_EQ(run(spec).output, "xterm yes\n");
}

TEST_F(Process, ReturnsWhenTheProcessExitsNotWhenItsPipeCloses) {
  const ProcessResult result = run("sleep 1000 & echo $! > pid; echo done");
  EXPECT_EQ(result.output, "done\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_LT(result.elapsed, 100s);
  EXPECT_FALSE(alive(pid_in("pid")));
}

TEST_F(Process, ADaemonDiesWithItsCommand) {
  const ProcessResult result =
      run("setsid nohup bash -c '(trap \"\" HUP TERM; echo $BASHPID > pid; exec sleep 1000) &' "
          "</dev/null >/dev/null 2>&1; while ! [ -s pid ]; do sleep 0.01; done");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_FALSE(alive(pid_in("pid")));
}

TEST_F(Process, TheDeadlineEndsTheWholeTree) {
  const ProcessResult result = run_into_deadline(shell("sleep 1000 & echo $! > pid; sleep 1000"));
  EXPECT_TRUE(result.timed_out);
  EXPECT_FALSE(result.interrupted);
  EXPECT_EQ(result.signal, SIGTERM);
  EXPECT_FALSE(alive(pid_in("pid")));
}

TEST_F(Process, TheDeadlineEndsWhatIgnoresSignals) {
  const ProcessResult result =
      run_into_deadline(shell("trap '' TERM INT HUP; echo $$ > pid; while :; do sleep 1000; done"));
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.signal, SIGKILL);
  EXPECT_FALSE(alive(pid_in("pid")));
}

TEST_F(Process, TheDeadlineEndsWhatIsStopped) {
  EXPECT_TRUE(run_into_deadline(shell("echo $$ > pid; kill -STOP $$; sleep 1000")).timed_out);
  EXPECT_FALSE(alive(pid_in("pid")));
}

TEST_F(Process, TheDeadlineEndsEvenWhatKillsItsKeeper) {
  const ProcessResult result = run(shell("echo $$ > pid; kill -9 $PPID; sleep 1000"));
  EXPECT_EQ(result.signal, SIGKILL);
  std::this_thread::sleep_for(100ms);
  EXPECT_FALSE(alive(pid_in("pid")));
}

TEST_F(Process, CancellingTheCoroutineEndsTheTreeAndSaysInterrupted) {
  asio::io_context io;
  asio::cancellation_signal cancel;
  ProcessResult result;
  bool finished = false;
  ProcessSpec spec = shell("echo $$ > pid; echo ready; sleep 1000");
  spec.on_output = [&](std::string_view) {
    asio::post(io, [&] { cancel.emit(asio::cancellation_type::terminal); });
  };
  asio::co_spawn(io, sandbox_->run(std::move(spec)),
                 asio::bind_cancellation_slot(cancel.slot(),
                                              [&](std::exception_ptr error, ProcessResult value) {
                                                EXPECT_FALSE(error);
                                                result = std::move(value);
                                                finished = true;
                                              }));
  io.run();
  ASSERT_TRUE(finished);
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(result.output, "ready\n");
  EXPECT_FALSE(alive(pid_in("pid")));
}

TEST_F(Process, SeveralRunSideBySide) {
  asio::io_context io;
  int finished = 0;
  for (int i = 0; i < 4; ++i) {
    // Each waits for all the others.
    ProcessSpec spec = shell("touch " + std::to_string(i) +
                             "; while [ $(ls | wc -l) -lt 4 ]; do sleep 0.01; done; echo all");
    asio::co_spawn(io, sandbox_->run(std::move(spec)),
                   [&](std::exception_ptr error, ProcessResult result) {
                     EXPECT_FALSE(error);
                     EXPECT_EQ(result.output, "all\n");
                     ++finished;
                   });
  }
  io.run();
  EXPECT_EQ(finished, 4);
}

TEST_F(Process, KeepsHeadAndTailAndSpillsTheWhole) {
  ProcessSpec spec = shell("seq 1 100000");
  spec.head_bytes = 100;
  spec.tail_bytes = 50;
  spec.spill = folder_.path() / "spill";
  std::string streamed;
  spec.on_output = [&](std::string_view bytes) { streamed += bytes; };
  const ProcessResult result = run(spec);
  const std::string whole = contents(spec.spill);
  EXPECT_EQ(whole, streamed);
  EXPECT_EQ(result.output_bytes, whole.size());
  EXPECT_EQ(result.output, whole.substr(0, 100));
  EXPECT_EQ(result.tail, whole.substr(whole.size() - 50));
}

TEST_F(Process, SaysWhenTheFileHasNoRoomForAllOfIt) {
  ProcessSpec spec = shell("echo text");
  spec.spill = folder_.path() / "spill";
  EXPECT_FALSE(run(spec).spill_is_cut);
  spec.spill = "/dev/full";
  EXPECT_TRUE(run(spec).spill_is_cut);
}

TEST_F(Process, CutsNothingThatFits) {
  ProcessSpec spec = shell("printf 0123456789");
  spec.head_bytes = 4;
  spec.tail_bytes = 6;
  const ProcessResult result = run(spec);
  EXPECT_EQ(result.output, "0123456789");
  EXPECT_EQ(result.tail, "");
}

TEST_F(Process, KeepsBytesAsTheyAre) {
  EXPECT_EQ(run("printf '\\0\\xff\\x80a'").output, std::string("\0\xff\x80"
                                                               "a",
                                                               4));
}

TEST_F(Process, AFloodIsDrainedAndOnlyItsEndsAreKept) {
  ProcessSpec spec = shell("head -c 300000000 /dev/zero; printf end");
  const ProcessResult result = run(spec);
  EXPECT_EQ(result.output_bytes, 300'000'003u);
  EXPECT_EQ(result.output.size(), spec.head_bytes);
  EXPECT_EQ(result.tail.size(), spec.tail_bytes);
  EXPECT_TRUE(result.tail.ends_with("end"));
}

TEST_F(Process, ReapsAFloodOfZombies) {
  EXPECT_EQ(run("for i in $(seq 300); do (true &); done; echo ok").output, "ok\n");
}

TEST_F(Process, EverythingEndsWithTheSandbox) {
  asio::io_context io;
  ProcessSpec spec = shell("echo $$ > pid; sleep 1000");
  asio::co_spawn(io, sandbox_->run(std::move(spec)), [](std::exception_ptr, ProcessResult) {});
  while (contents(folder_.path() / "pid").empty()) io.run_one_for(10ms);
  sandbox_.reset();
  EXPECT_FALSE(alive(pid_in("pid")));
}

}  // namespace
}  // namespace corvid::sandbox
