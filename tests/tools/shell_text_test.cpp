#include "tools/shell_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/text/utf8.h"

namespace corvid::tools {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

sandbox::ProcessResult finished(std::string output, int exit_code = 0) {
  sandbox::ProcessResult done;
  done.output_bytes = output.size();
  done.output = std::move(output);
  done.exit_code = exit_code;
  return done;
}

TEST(ShellText, TheLastLineSaysHowTheProcessEnded) {
  EXPECT_EQ(shell_text(finished("a\n"), {}), "a\n[exit 0]");
  EXPECT_EQ(shell_text(finished("a", 3), {}), "a\n[exit 3]");
  EXPECT_EQ(shell_text(finished(""), {}), "[exit 0]");
  sandbox::ProcessResult killed = finished("x\n");
  killed.exit_code.reset();
  killed.signal = 9;
  EXPECT_EQ(shell_text(killed, {}), "x\n[killed by signal 9]");
  killed.timed_out = true;
  EXPECT_EQ(shell_text(killed, {.deadline = std::chrono::seconds(5)}),
            "x\n[timed out after 5 s, signal 9]");
  killed.interrupted = true;
  EXPECT_EQ(shell_text(killed, {}), "x\n[interrupted, signal 9]");
  sandbox::ProcessResult obeyed = finished("x\n", 3);
  obeyed.timed_out = true;
  EXPECT_EQ(shell_text(obeyed, {.deadline = std::chrono::seconds(5)}),
            "x\n[timed out after 5 s, exit 3]");
}

TEST(ShellText, WhatTheSandboxSaysComesBeforeTheEnding) {
  sandbox::ProcessResult done = finished("x\n");
  done.notices = {"A thing was undone."};
  EXPECT_EQ(shell_text(done, {}), "x\n[A thing was undone.]\n[exit 0]");
}

TEST(ShellText, BytesThatAreNoTextAreEscapedAndSaidToBe) {
  EXPECT_EQ(shell_text(finished("a\xFF\n"), {}),
            "a\\xff\n[bytes that are not UTF-8 are shown as \\xHH]\n[exit 0]");
}

TEST(ShellText, LongOutputKeepsItsEndsAndNamesTheFileWithAllOfIt) {
  sandbox::ProcessResult done = finished("first line\n" + std::string(3000, 'a'));
  done.tail = std::string(3000, 'z') + "\nlast line\n";
  done.output_bytes = 50'000'000;
  const std::string text = shell_text(done, {.budget_bytes = 2000, .spill = "/spill/out.txt"});
  EXPECT_LE(text.size(), 2000u);
  EXPECT_THAT(text, StartsWith("first line\n"));
  EXPECT_THAT(text, HasSubstr(" bytes left out; all of it is in /spill/out.txt ...]\n"));
  EXPECT_THAT(text, EndsWith("last line\n[exit 0]"));
  done.spill_is_cut = true;
  EXPECT_THAT(shell_text(done, {.budget_bytes = 2000, .spill = "/spill/out.txt"}),
              HasSubstr(" bytes left out; as much as fits is in /spill/out.txt ...]\n"));
}

TEST(ShellText, ACutThroughACharacterShowsNoPieceOfIt) {
  sandbox::ProcessResult done = finished("x\xE2\x82");
  done.tail = "\xAC y";
  done.output_bytes = 1000;
  const std::string text = shell_text(done, {});
  EXPECT_TRUE(model::is_utf8(text));
  EXPECT_THAT(text, testing::Not(HasSubstr("\\x")));
}

}  // namespace
}  // namespace corvid::tools
