#include "model/text/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/error.h"

namespace corvid::model {
namespace {

TEST(JsonText, PrintsAsPythonsDumps) {
  EXPECT_EQ(print_json(R"({"b":[1,2,{}],"a":{"é":"\u00e9\u0007\n\"\\/"},"n":null,"t":true})"),
            R"({"b": [1, 2, {}], "a": {"é": "é\u0007\n\"\\/"}, "n": null, "t": true})");
  EXPECT_EQ(print_json("[]"), "[]");
  EXPECT_EQ(print_json(" \"x\" "), "\"x\"");
}

TEST(JsonText, NumbersKeepPythonsForm) {
  EXPECT_EQ(print_json("[1.0, 1e5, 1.5e-7, 1e16, 0.0001, 1e22, -0.5]"),
            "[1.0, 100000.0, 1.5e-07, 1e+16, 0.0001, 1e+22, -0.5]");
  EXPECT_EQ(print_json("[123456789012345678901234567890, -9223372036854775808]"),
            "[123456789012345678901234567890, -9223372036854775808]");
}

TEST(JsonText, MembersOfAnObjectInOrder) {
  const auto members = json_members(R"({"b": {"x": [1,2]}, "a": "s", "b": 3, "c": []})");
  ASSERT_EQ(members.size(), 3u);
  EXPECT_EQ(members[0].name + "=" + members[0].value, "b=3");
  EXPECT_EQ(members[1].name + "=" + members[1].value, "a=\"s\"");
  EXPECT_EQ(members[2].name + "=" + members[2].value, "c=[]");
  EXPECT_EQ(json_members(R"({"deep": {"x": [1, {"y": 2}]}})")[0].value, R"({"x": [1, {"y": 2}]})");
  EXPECT_TRUE(json_members("{}").empty());
}

TEST(JsonText, WhatIsNotJsonOrNotAnObjectIsRefused) {
  for (const char* bad : {"", "{", "{'a': 1}", "[1,]", "nul", "\"\xFF\"", "{} x"}) {
    EXPECT_THROW(print_json(bad), ModelError) << bad;
    EXPECT_FALSE(is_json(bad)) << bad;
  }
  EXPECT_THROW(json_members("[1]"), ModelError);
  EXPECT_THROW(json_members("3"), ModelError);
}

TEST(JsonText, DeepNestingIsNoDanger) {
  const std::string deep = std::string(1 << 20, '[') + std::string(1 << 20, ']');
  EXPECT_EQ(print_json(deep), deep);
  EXPECT_TRUE(is_json(deep));
}

TEST(JsonText, QuotingIsUndone) {
  for (std::string text : {"", "a\"b\\c\n\x01", "你好 </｜DSML｜parameter>"}) {
    EXPECT_EQ(json_unquote(json_quote(text)), text);
  }
  EXPECT_EQ(json_quote("a\x80"), "\"a\uFFFD\"");
  EXPECT_THROW(json_unquote("3"), ModelError);
}

}  // namespace
}  // namespace corvid::model
