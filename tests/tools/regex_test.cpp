#include "tools/regex.h"

#include <gtest/gtest.h>

namespace corvid::tools {
namespace {

Regex compiled(std::string_view pattern) {
  return std::get<Regex>(Regex::compile(pattern));
}

TEST(Regex, FindsWhereTheFirstMatchStarts) {
  Regex regex = compiled("b+c");
  EXPECT_EQ(regex.find("aabbc"), 2u);
  EXPECT_EQ(regex.find("aab"), std::nullopt);
  EXPECT_EQ(compiled("(?i)CAF\xC3\x89").find("caf\xC3\xA9"), 0u);
}

TEST(Regex, TextOfAnyBytesIsSearched) {
  EXPECT_EQ(compiled("needle").find(std::string("\xFF\xFE\0 needle", 10)), 4u);
}

TEST(Regex, ABadPatternIsExplained) {
  const auto bad = Regex::compile("a(b");
  ASSERT_TRUE(std::holds_alternative<Regex::Bad>(bad));
  EXPECT_NE(std::get<Regex::Bad>(bad).message.find("parenthes"), std::string::npos);
  EXPECT_TRUE(std::holds_alternative<Regex::Bad>(Regex::compile(std::string(5000, 'a'))));
  EXPECT_TRUE(std::holds_alternative<Regex::Bad>(Regex::compile(std::string(500, '('))));
}

TEST(Regex, AHostilePatternGivesUpAtItsLimit) {
  const std::string text = std::string(40, 'a') + "!";
  for (const char* pattern : {"^(a+)+$", "^(a|aa)+$", "^(.*?,){30}P", "^((a*)*)*$"}) {
    Regex regex = compiled(pattern);
    EXPECT_EQ(regex.find(text), std::nullopt) << pattern;
  }
  Regex regex = compiled("^(a+)+$");
  regex.find(text);
  EXPECT_TRUE(regex.gave_up());
  EXPECT_FALSE(compiled("a").gave_up());
}

}  // namespace
}  // namespace corvid::tools
