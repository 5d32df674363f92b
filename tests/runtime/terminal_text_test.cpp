// Nothing from outside reaches the terminal as a command.
#include "runtime/terminal_text.h"

#include <gtest/gtest.h>

#include <random>

#include "model/text/utf8.h"

namespace corvid::runtime {
namespace {

TEST(TerminalText, ControlCharactersAreShown) {
  EXPECT_EQ(shown("a\x1b]52;c;aGk=\x07z", Care::prose), "a\\x1b]52;c;aGk=\\x07z");
  EXPECT_EQ(shown("\x1b[2J\b\x7f", Care::prose), "\\x1b[2J\\x08\\x7f");
  EXPECT_EQ(shown("\xc2\x9b"
                  "31m",
                  Care::prose),
            "\\x9b31m");  // C1: also an escape sequence
  EXPECT_EQ(shown("over\rwrite", Care::prose), "over\\x0dwrite");
  EXPECT_EQ(shown("dos\r\nline\tend\n", Care::prose), "dos\nline\tend\n");
  EXPECT_EQ(shown("echo\r\n", Care::command), "echo\\x0d\n");
}

TEST(TerminalText, TextThatTurnsAroundOrHidesIsShown) {
  EXPECT_EQ(shown("a\u202eb\u2066c\ufeff\u200b", Care::prose),
            "a\\u{202e}b\\u{2066}c\\u{feff}\\u{200b}");
  EXPECT_EQ(shown("\U000E0041", Care::prose), "\\u{e0041}");
}

TEST(TerminalText, JoinersPassInProseAndAreShownInCommands) {
  const std::string family = "\U0001F468\u200D\U0001F469";
  EXPECT_EQ(shown(family, Care::prose), family);
  EXPECT_EQ(shown("rm\u200d x", Care::command), "rm\\u{200d} x");
}

TEST(TerminalText, OrdinaryTextOfAnyScriptPasses) {
  const std::string text = "naïve 日本語 Ελληνικά עברית 👍 100 €\n";
  EXPECT_EQ(shown(text, Care::prose), text);
  EXPECT_EQ(shown(text, Care::command), text);
}

TEST(TerminalText, AnyBytesBecomeHarmless) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (int i = 0; i < 20; ++i) bytes += static_cast<char>(random());
    const std::string text = shown(bytes, Care::command);
    EXPECT_TRUE(model::is_utf8(text));
    for (const char c : text)
      EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t');
    EXPECT_EQ(shown(text, Care::command), text);  // what is shown is shown as it is
  }
}

TEST(TerminalText, ColumnsCountWideAndCombiningCharacters) {
  EXPECT_EQ(columns_of("abc"), 3);
  EXPECT_EQ(columns_of("日本"), 4);
  EXPECT_EQ(columns_of("e\u0301"), 1);
  EXPECT_EQ(columns_of("👍"), 2);
}

TEST(TerminalText, FittedLinesNeverTakeMoreThanTheirColumns) {
  EXPECT_EQ(fitted("hello", 5), "hello");
  EXPECT_EQ(fitted("hello!", 5), "hell…");
  EXPECT_EQ(fitted("a\nb\tc", 9), "a b c");
  EXPECT_EQ(fitted("日本語", 4), "日…");
  EXPECT_EQ(fitted("x", 0), "");
  const std::string text = "aé日👍e\u0301 漢字 and so on";
  for (int columns = 0; columns < 30; ++columns) {
    EXPECT_LE(columns_of(fitted(text, columns)), columns);
  }
}

}  // namespace
}  // namespace corvid::runtime
