#include "tools/edit_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/lines.h"

namespace corvid::tools {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = Replacement::Kind;

TEST(EditText, TheExactTextIsReplacedWhereItStands) {
  const Replacement result = replace_text("one two\nthree\n", "two\nthr", "2\n3");
  EXPECT_EQ(result.kind, Kind::exact);
  EXPECT_EQ(result.text, "one 2\n3ee\n");
  EXPECT_THAT(result.lines, ElementsAre(1));
}

TEST(EditText, TextThatOccursTwiceIsNotReplacedUnlessAllAreWanted) {
  EXPECT_EQ(replace_text("a\nb\na\n", "a", "x").kind, Kind::ambiguous);
  EXPECT_THAT(replace_text("a\nb\na\n", "a", "x").lines, ElementsAre(1, 3));
  EXPECT_EQ(replace_text("aaa", "aa", "b").kind, Kind::ambiguous);  // overlapping places count
  const Replacement all = replace_text("a\nb\na\n", "a", "xa", {.all = true});
  EXPECT_EQ(all.text, "xa\nb\nxa\n");
}

TEST(EditText, NoTextAtAllIsFoundNowhere) {
  EXPECT_EQ(replace_text("a", "", "b").kind, Kind::missing);
  EXPECT_EQ(replace_text("", "a", "b").kind, Kind::missing);
  EXPECT_EQ(replace_text("a\n\nb\n", "  \n", "x").kind, Kind::missing);
}

TEST(EditText, AnIndentationThatIsOffByTheSamePieceIsAdapted) {
  const std::string text = "class A {\n    void f() {\n      g();\n    }\n};\n";
  const Replacement result =
      replace_text(text, "void f() {\n  g();\n}\n", "void f() {\n  g();\n  h();\n}\n");
  EXPECT_EQ(result.kind, Kind::tolerant);
  EXPECT_EQ(result.text, "class A {\n    void f() {\n      g();\n      h();\n    }\n};\n");
  EXPECT_THAT(result.lines, ElementsAre(2));
}

TEST(EditText, SpacesForTabsAreAdapted) {
  const std::string text = "def f():\n\tif x:\n\t\ty()\n";
  const Replacement result = replace_text(text, "    if x:\n        y()",
                                          "    if x:\n        y()\n"
                                          "            z()");
  EXPECT_EQ(result.kind, Kind::tolerant);
  EXPECT_EQ(result.text, "def f():\n\tif x:\n\t\ty()\n\t\t\tz()\n");
}

TEST(EditText, AnIndentationThatCannotBeToldIsNotGuessed) {
  // Two more spaces, or twice as many? The new deeper line tells them apart.
  const Replacement result = replace_text("a\n    if x:\nb\n", "  if x:", "  if x:\n    y()");
  EXPECT_EQ(result.kind, Kind::doubtful);
  EXPECT_THAT(result.lines, ElementsAre(2));
  // One old indentation for two found ones.
  EXPECT_EQ(replace_text("  a\n    b\n", "a\nb", "c\nd").kind, Kind::doubtful);
}

TEST(EditText, TextBehindAnIndentationIsTakenLiterallyWhenTheNewLinesCarryIt) {
  const std::string text = "{\n  one();\n}\n";
  EXPECT_EQ(replace_text(text, "one();", "two();").text, "{\n  two();\n}\n");
  EXPECT_EQ(replace_text(text, "one();", "one();\n  two();").text, "{\n  one();\n  two();\n}\n");
  EXPECT_EQ(replace_text(text, "one();", "one();\ntwo();").kind, Kind::doubtful);
  EXPECT_EQ(replace_text(text, "one();\n}", "one();\n}\nend").text, "{\n  one();\n}\nend\n");
}

TEST(EditText, TrailingSpacesAndLineEndsDoNotMatter) {
  const Replacement trailing = replace_text("a  \nb\t\nc\n", "a\nb", "A\nB");
  EXPECT_EQ(trailing.kind, Kind::tolerant);
  EXPECT_EQ(trailing.text, "A\nB\nc\n");
  const Replacement crlf = replace_text("a\r\nb\r\nc\r\n", "a\nb", "a\nx\nb");
  EXPECT_EQ(crlf.text, "a\r\nx\r\nb\r\nc\r\n");
  EXPECT_EQ(replace_text("a\r\nb\r\n", "b", "b\nc").text, "a\r\nb\r\nc\r\n");
}

TEST(EditText, SpacesInsideALineDoMatter) {
  EXPECT_EQ(replace_text("print('a  b')\n", "print('a b')", "x").kind, Kind::missing);
}

TEST(EditText, ATolerantMatchMustBeUnique) {
  const Replacement result = replace_text("  a\nb\n    a\n", "\ta", "x");
  EXPECT_EQ(result.kind, Kind::missing);
  EXPECT_THAT(result.lines, ElementsAre(1, 3));
}

TEST(EditText, DeletingWholeLinesLeavesNoEmptyOne) {
  EXPECT_EQ(replace_text("a\n  b\nc\n", "b\n", "").text, "a\n  c\n");  // exact: text is text
  EXPECT_EQ(replace_text("a\n  b  \nc\n", " b\n", "").text, "a\nc\n");
  EXPECT_EQ(replace_text("a\n  b  \nc\n", " b \n", "").text, "a\nc\n");
}

TEST(EditText, LinesGiveWayToLines) {
  EXPECT_EQ(replace_lines("a\nb\nc\n", 2, 2, "x\ny"), "a\nx\ny\nc\n");
  EXPECT_EQ(replace_lines("a\nb\nc\n", 2, 3, "x\n"), "a\nx\n");
  EXPECT_EQ(replace_lines("a\nb\nc\n", 1, 2, ""), "c\n");
  EXPECT_EQ(replace_lines("a\r\nb\r\n", 1, 1, "x\ny"), "x\r\ny\r\nb\r\n");
  EXPECT_EQ(replace_lines("a\nb", 2, 2, "x"), "a\nx");
}

TEST(EditText, AMissIsAnsweredWithTheClosestRegion) {
  const std::string text =
      "int alpha() {\n  return 1;\n}\n\nint compute_sum(int a, int b) {\n  return a + b;\n}\n";
  EXPECT_EQ(closest_region(text, "int compute_sums(int a, int b) {\n  return a+b ;\n}"),
            "5\tint compute_sum(int a, int b) {\n6\t  return a + b;\n7\t}\n");
  EXPECT_EQ(closest_region("# Notes\n\nsay \"hi\"\n}\n", "say \u201chi\u201d"), "3\tsay \"hi\"\n");
  EXPECT_EQ(
      closest_region("a - b\nlong line, in which a word - or two - stands\n", "word \u2014 or"),
      "2\tlong line, in which a word - or two - stands\n");
  EXPECT_THAT(closest_region(text, "qqqq zzzz wwww"), IsEmpty());
  EXPECT_THAT(closest_region("", "x"), IsEmpty());
}

TEST(Lines, ATagChangesWithWhatStandsInTheLines) {
  const std::string text = "a\nb\nc\n", other = "a\nb\nC\n";
  const auto lines = split_lines(text), others = split_lines(other);
  EXPECT_EQ(line_tag(text, lines, 1, 2), line_tag(other, others, 1, 2));
  EXPECT_NE(line_tag(text, lines, 1, 3), line_tag(other, others, 1, 3));
  EXPECT_EQ(line_tag(text, lines, 2, 9), "");
}

TEST(Lines, RangesAreRead) {
  EXPECT_EQ(parse_line_range("12-15").last, 15);
  EXPECT_EQ(parse_line_range("12").last, 12);
  EXPECT_EQ(parse_line_range("3-9:abcdef").last, 9);
  for (const char* bad : {"", "a", "0", "5-3", "-2", "3-", "3-4x", "99999999999999"}) {
    EXPECT_EQ(parse_line_range(bad).first, 0) << bad;
  }
}

TEST(Lines, EveryByteOfATextIsInOneLineOrItsEnd) {
  for (const char* text : {"", "a", "a\n", "\n\n", "a\r\nb\n\r\r\nc", "\r"}) {
    std::string joined;
    for (const Line& line : split_lines(text)) joined.append(line.text).append(line.end);
    EXPECT_EQ(joined, text);
  }
}

}  // namespace
}  // namespace corvid::tools
