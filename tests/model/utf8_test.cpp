#include "model/text/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace corvid::model {
namespace {

TEST(Utf8, EveryScalarValueSurvives) {
  for (char32_t value = 0; value <= 0x10FFFF; ++value) {
    if (value >= 0xD800 && value <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, value);
    const CodePoint point = code_point_at(text, 0);
    ASSERT_TRUE(point.valid) << static_cast<long>(value);
    ASSERT_EQ(point.value, value);
    ASSERT_EQ(point.bytes, static_cast<int>(text.size()));
  }
}

TEST(Utf8, RefusesOverlongFormsSurrogatesAndValuesBeyondTheLastPlane) {
  for (const char* bad :
       {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\x80", "\xFF", "\xE4\xBD"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

TEST(Utf8, CleaningReplacesEachStrayByte) {
  EXPECT_EQ(clean_utf8("a\x80z"), "a\uFFFDz");
  EXPECT_EQ(clean_utf8("\xE4\xBD"), "\uFFFD\uFFFD");
  EXPECT_EQ(clean_utf8("你好"), "你好");
}

// A tail is unfinished exactly when some continuation makes it valid.
TEST(Utf8, UnfinishedTailsAreThoseThatCanBeCompleted) {
  EXPECT_EQ(unfinished_utf8("abc"), 0u);
  EXPECT_EQ(unfinished_utf8("你"), 0u);
  EXPECT_EQ(unfinished_utf8("a\xE4"), 1u);
  EXPECT_EQ(unfinished_utf8("a\xE4\xBD"), 2u);
  EXPECT_EQ(unfinished_utf8("a\xF0\x9F\x98"), 3u);
  EXPECT_EQ(unfinished_utf8("a\xE0\x80"), 0u);  // overlong whatever follows
  EXPECT_EQ(unfinished_utf8("a\xED\xA0"), 0u);  // surrogate whatever follows
  EXPECT_EQ(unfinished_utf8("a\xF4\x90"), 0u);
  EXPECT_EQ(unfinished_utf8("a\x80\x80"), 0u);
  EXPECT_EQ(unfinished_utf8(""), 0u);
}

}  // namespace
}  // namespace corvid::model
