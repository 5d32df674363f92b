// Text that commands a terminal, or is not what it looks like, in a real terminal (tmux): written
// as it is it takes the terminal over, written by Corvid it is read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <wchar.h>

#include <chrono>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "runtime/terminal_text.h"
#include "tests/runtime/model_server.h"
#include "tests/scratch_folder.h"

namespace corvid::tests {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const std::string kTitle = "\x1b]2;taken\x07", kClipboard = "\x1b]52;c;ZXZpbA==\x07";

class HostileTerminal : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v tmux >/dev/null") != 0) {
      GTEST_SKIP() << "no terminal to try it on: tmux is not installed";
    }
  }
  ~HostileTerminal() override { tmux("kill-server 2>/dev/null"); }

  std::string tmux(const std::string& command) {
    const std::string line = "env -i PATH=\"$PATH\" LANG=C.UTF-8 HOME=" + home_.path().string() +
                             " tmux -f /dev/null -S " + socket().string() + " " + command;
    FILE* pipe = ::popen(line.c_str(), "r");
    std::string said;
    for (int c; (c = std::fgetc(pipe)) != EOF;) said += static_cast<char>(c);
    ::pclose(pipe);
    return said;
  }
  // In a terminal of its own, until it has said so. A server that was told to end may still take
  // a client on its socket, and hang up on it: each has a socket of its own.
  std::string screen_of(const std::string& command) {
    tmux("kill-server 2>/dev/null");
    ++servers_;
    home_.put("run", command + "\necho; echo 'it is' over\nexec sleep 1000\n");
    tmux("start-server \\; set -s set-clipboard on \\; new-session -d -x 100 -y 24 sh " +
         (home_ / "run").string());
    const auto until = std::chrono::steady_clock::now() + 60s;
    std::string screen;
    while (screen.find("it is over") == screen.npos && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(20ms);
      screen = tmux("capture-pane -p");
    }
    return screen;
  }
  std::string title() { return tmux("display -p '#{pane_title}'"); }
  std::string clipboard() { return tmux("show-buffer 2>/dev/null"); }

  std::filesystem::path socket() { return home_ / ("socket" + std::to_string(servers_)); }

  ScratchFolder home_;
  int servers_ = 0;
};

TEST_F(HostileTerminal, TakesTheTitleAndTheClipboard) {
  home_.put("work/evil", kTitle + kClipboard + " end");
  screen_of("cat " + (home_ / "work/evil").string());
  EXPECT_EQ(title(), "taken\n") << "no harm shown";
  EXPECT_EQ(clipboard(), "evil") << "no harm shown";

  ModelServer server([](auto& out, const auto&, int n) {
    if (n > 0) return out.say(kTitle + kClipboard + " end", kTitle + kClipboard);
    out.call("c", "shell", R"({"command": "cat evil"})");
  });
  const std::string screen = screen_of("cd " + (home_ / "work").string() +
                                       "; " CORVID_BINARY " run --model " + server.url() + " go");
  EXPECT_THAT(screen, HasSubstr("\\x1b]52;c;ZXZpbA==\\x07 end"));
  EXPECT_NE(title(), "taken\n");
  EXPECT_EQ(clipboard(), "");
}

// What takes no column is not seen: two commands look the same.
TEST(HostileText, HidesInACommand) {
  const std::string before = std::setlocale(LC_CTYPE, nullptr);
  std::setlocale(LC_CTYPE, "C.UTF-8");
  for (const wchar_t hidden : {L'\u200b', L'\u202e', L'\u2066', L'\U000E0041'}) {
    EXPECT_EQ(::wcwidth(hidden), 0) << "no harm shown: " << static_cast<unsigned>(hidden);
  }
  std::setlocale(LC_CTYPE, before.c_str());
  using runtime::Care;
  EXPECT_EQ(runtime::shown("rm\u200b x\u202e\u2066\U000E0041", Care::command),
            "rm\\u{200b} x\\u{202e}\\u{2066}\\u{e0041}");
}

}  // namespace
}  // namespace corvid::tests
