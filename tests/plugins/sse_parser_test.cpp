// Server-sent events, however the bytes are cut.
#include "plugins/sse_parser.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace corvid::plugins {
namespace {

std::vector<SseEvent> parse(std::string_view text, std::size_t step) {
  SseParser parser;
  std::vector<SseEvent> events;
  for (std::size_t at = 0; at < text.size(); at += step) {
    parser.feed(text.substr(at, step));
    while (auto event = parser.next()) events.push_back(*event);
  }
  parser.end();
  while (auto event = parser.next()) events.push_back(*event);
  return events;
}

TEST(SseParser, ReadsNamesDataAndComments) {
  const auto events =
      parse(": hello\n\nevent: error\ndata: a\ndata:b\nid: 3\n\ndata:  c\r\n\r\n", 999);
  const std::vector<SseEvent> expected = {{"error", "a\nb"}, {"", " c"}};
  EXPECT_EQ(events, expected);
}

TEST(SseParser, EveryLineEndingEndsALine) {
  for (const std::string end : {"\n", "\r", "\r\n"}) {
    const auto events = parse("data: x" + end + end + "data: y" + end + end, 1);
    const std::vector<SseEvent> expected = {{"", "x"}, {"", "y"}};
    EXPECT_EQ(events, expected);
  }
}

TEST(SseParser, SkipsAByteOrderMark) {
  EXPECT_EQ(parse("\xEF\xBB\xBF"
                  "data: x\n\n",
                  2),
            (std::vector<SseEvent>{{"", "x"}}));
}

TEST(SseParser, TheLastEventNeedsNoBlankLine) {
  EXPECT_EQ(parse("data: x", 3), (std::vector<SseEvent>{{"", "x"}}));
}

TEST(SseParser, AnEventWithoutDataIsNone) {
  EXPECT_TRUE(parse("event: ping\n\n: x\n\n", 4).empty());
}

TEST(SseParser, SaysWhereAStreamGoesOnAndWhen) {
  SseParser parser;
  parser.feed("id: 7\nretry: 250\ndata:\n\nretry: soon\ndata: x\n\nid: 9\n");
  EXPECT_EQ(parser.last_id(), "7") << "the last event has not come yet";
  EXPECT_EQ(parser.retry(), std::chrono::milliseconds(250));
  parser.feed("\n");
  EXPECT_EQ(parser.last_id(), "9");
  parser.feed(std::string_view("id: a\0b\n\n", 10));
  EXPECT_EQ(parser.last_id(), "9") << "no header could say it";
}

TEST(SseParser, FedInPiecesIsFedAtOnce) {
  std::mt19937 random(1);
  const std::string alphabet = "dat: \n\r\nevnx\xC3\xA9{}";
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 60; ++i) {
      text += random() % 4 ? std::string(1, alphabet[random() % alphabet.size()]) : "\ndata: ";
    }
    const auto whole = parse(text, text.size());
    for (std::size_t step : {1, 2, 3, 7}) EXPECT_EQ(parse(text, step), whole) << text;
  }
}

TEST(SseParser, AnEndlessEventIsCutOff) {
  SseParser parser(1000);
  parser.feed("data: ");
  for (int i = 0; i < 100 && !parser.overflowed(); ++i) parser.feed(std::string(100, 'x'));
  EXPECT_TRUE(parser.overflowed());
  EXPECT_FALSE(parser.next());
}

}  // namespace
}  // namespace corvid::plugins
