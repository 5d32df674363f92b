#include "model/text/json_stream.h"

#include <gtest/gtest.h>

#include <random>

#include "model/text/json_text.h"

namespace corvid::model {
namespace {

std::string printed(std::string_view json, const std::function<std::size_t()>& portion) {
  JsonStream stream;
  std::string out;
  while (!json.empty()) {
    const std::size_t size = std::min(portion(), json.size());
    out += stream.feed(json.substr(0, size));
    json.remove_prefix(size);
  }
  return out + stream.end();
}

std::string random_json(std::mt19937& random, int depth) {
  static const std::vector<std::string> kScalars = {"null",
                                                    "true",
                                                    "-0",
                                                    "12.50",
                                                    "1e5",
                                                    "1.5E-7",
                                                    "18446744073709551616",
                                                    "\"\"",
                                                    "\"\\u00e9é\"",
                                                    "\"\\ud83d\\ude00 😀\\/\\\\\"",
                                                    "\"a\\\"b\\nc{[,:\"",
                                                    "\"\\u0007\\u001F\""};
  static const std::vector<std::string> kSpaces = {"", "", "", " ", "\n\t"};
  const auto space = [&] { return kSpaces[random() % kSpaces.size()]; };
  const auto kind = random() % 4;
  if (depth == 0 || kind > 1) return space() + kScalars[random() % kScalars.size()] + space();
  std::string json;
  for (auto n = random() % 4; n > 0; --n) {
    json += (json.empty() ? "" : ",") + space();
    if (kind == 0) json += "\"k\\u0301" + std::to_string(n) + "\"" + space() + ":";
    json += random_json(random, depth - 1);
  }
  return space() + (kind == 0 ? "{" + json + "}" : "[" + json + "]");
}

TEST(JsonStream, InAnyPortionsItPrintsWhatTheWholeIs) {
  std::mt19937 random(3);
  for (int round = 0; round < 5000; ++round) {
    const std::string json = random_json(random, 4);
    EXPECT_EQ(printed(json, [&] { return json.size(); }), print_json(json)) << json;
    EXPECT_EQ(printed(json, [] { return 1; }), print_json(json)) << json;
    EXPECT_EQ(printed(json, [&] { return 1 + random() % 7; }), print_json(json)) << json;
  }
}

TEST(JsonStream, ALongNumberByteByByteCostsNoMoreThanItsLength) {
  const std::string json = "[0." + std::string(1'000'000, '7') + "]";
  EXPECT_EQ(printed(json, [] { return 1; }), print_json(json));
}

TEST(JsonStream, StringsArePrintedWhileTheyCome) {
  JsonStream stream;
  EXPECT_EQ(stream.feed(R"({"text":"ab)"), R"({"text": "ab)");
  EXPECT_EQ(stream.feed("\\"), "");
  EXPECT_EQ(stream.feed("nc\xC3"), "\\nc");
  EXPECT_EQ(stream.feed("\xA9\", \"n\": 1"), "é\", \"n\": ");
  EXPECT_EQ(stream.feed("2}"), "12}");
}

TEST(JsonStream, WhatIsNoJsonEndsIt) {
  JsonStream stream;
  EXPECT_EQ(stream.feed(R"({"a": 5, "b": nul, "c": 1})"), R"({"a": 5, "b": )");
  EXPECT_EQ(stream.feed("1"), "");
  EXPECT_EQ(stream.end(), "");
  JsonStream lone;
  EXPECT_EQ(lone.feed(R"("a\ud800xxxxxx")"), "\"");
}

}  // namespace
}  // namespace corvid::model
