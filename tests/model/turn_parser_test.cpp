#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "model/text/chat_format.h"
#include "model/text/json_text.h"
#include "model/text/utf8.h"

namespace corvid::model {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::unique_ptr<TurnParser> parser(Thinking thinking = Thinking::on) {
  return ChatFormat::named("deepseek-v3.2")->parser(thinking, {});
}

// What a reply came to: the turn, and the deltas joined.
struct Reading {
  Turn turn;
  Delta deltas;
  TurnParser::Where where = TurnParser::Where::reasoning;

  bool operator==(const Reading& other) const {
    return turn.stop == other.turn.stop && turn.reasoning == other.turn.reasoning &&
           turn.content == other.turn.content && turn.calls == other.turn.calls &&
           turn.problem == other.turn.problem && deltas.call_text == other.deltas.call_text &&
           deltas.calls == other.deltas.calls && where == other.where;
  }
};

std::ostream& operator<<(std::ostream& out, const Reading& reading) {
  return out << "{stop " << static_cast<int>(reading.turn.stop) << ", reasoning '"
             << reading.turn.reasoning << "', content '" << reading.turn.content << "', "
             << reading.turn.calls.size() << " calls, problem '" << reading.turn.problem
             << "', call text '" << reading.deltas.call_text << "'}";
}

Reading read(std::string_view text, Thinking thinking = Thinking::on, Stop stop = Stop::end,
             std::function<std::size_t()> portion = nullptr) {
  Reading reading;
  const auto turn_parser = parser(thinking);
  while (!text.empty()) {
    const std::size_t size = portion ? std::min(portion(), text.size()) : text.size();
    reading.deltas += turn_parser->feed(text.substr(0, size));
    text.remove_prefix(size);
  }
  reading.where = turn_parser->where();
  reading.turn = turn_parser->finish(stop);
  // What was shown is what the turn says; only what was held back to the end may be missing.
  EXPECT_TRUE(reading.turn.reasoning.starts_with(reading.deltas.reasoning));
  EXPECT_TRUE(reading.turn.content.starts_with(reading.deltas.content));
  for (std::size_t i = 0; i < reading.turn.calls.size(); ++i) {
    const ToolCall& call = reading.turn.calls[i];
    const CallPart& shown = reading.deltas.calls.at(i);
    EXPECT_EQ(shown.name, call.name);
    if (call.problem.empty()) {
      EXPECT_EQ(shown.arguments, call.arguments);
    }
  }
  return reading;
}

const std::string kCall =
    "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"shell\">\n"
    "<｜DSML｜parameter name=\"command\" string=\"true\">ls <b> \"x\"\n</｜DSML｜parameter>\n"
    "<｜DSML｜parameter name=\"timeout\" string=\"false\">5</｜DSML｜parameter>\n"
    "</｜DSML｜invoke>\n</｜DSML｜function_calls>";

TEST(TurnParserV32, ReadsReasoningContentAndCalls) {
  const Reading reading = read("I think.</think>Doing it.\n\n" + kCall);
  EXPECT_EQ(reading.turn.stop, Stop::calls);
  EXPECT_EQ(reading.turn.reasoning, "I think.");
  EXPECT_EQ(reading.turn.content, "Doing it.");
  ASSERT_EQ(reading.turn.calls.size(), 1u);
  EXPECT_EQ(reading.turn.calls[0].name, "shell");
  EXPECT_EQ(reading.turn.calls[0].arguments, R"({"command": "ls <b> \"x\"\n", "timeout": 5})");
  EXPECT_EQ(reading.deltas.call_text, kCall);
  EXPECT_EQ(reading.where, TurnParser::Where::closed);
  EXPECT_EQ(reading.turn.problem, "");
}

TEST(TurnParserV32, TextArgumentsAreShownWhileTheyAreWritten) {
  const auto turn_parser = parser(Thinking::off);
  const std::size_t value = kCall.find("ls <b>");
  EXPECT_EQ(turn_parser->feed(kCall.substr(0, value)).calls,
            (std::vector<CallPart>{{0, "", "shell", R"({"command": ")"}}));
  EXPECT_EQ(turn_parser->feed("ls <").calls, (std::vector<CallPart>{{0, "", "", "ls "}}));
  EXPECT_EQ(turn_parser->feed("b> \"").calls, (std::vector<CallPart>{{0, "", "", R"(<b> \")"}}));
}

TEST(TurnParserV32, AnAnswerWithoutCallsEndsTheTurn) {
  const Reading reading = read("why</think>because\n");
  EXPECT_EQ(reading.turn.stop, Stop::end);
  EXPECT_EQ(reading.turn.content, "because\n");
  EXPECT_EQ(read("hi", Thinking::off).turn.content, "hi");
}

TEST(TurnParserV32, StopsAtTheByteThatClosesTheBlock) {
  const auto turn_parser = parser(Thinking::off);
  turn_parser->feed(kCall.substr(0, kCall.size() - 1));
  EXPECT_EQ(turn_parser->where(), TurnParser::Where::calls);
  turn_parser->feed(">");
  EXPECT_EQ(turn_parser->where(), TurnParser::Where::closed);
  turn_parser->feed("\nmore <｜DSML｜");
  EXPECT_EQ(turn_parser->finish(Stop::end).calls.size(), 1u);
}

TEST(TurnParserV32, CallsInReasoningAreNotCarriedOut) {
  const Reading reading = read("see:\n\n" + kCall + "\n</think>no call");
  EXPECT_EQ(reading.turn.stop, Stop::end);
  EXPECT_THAT(reading.turn.calls, IsEmpty());
  EXPECT_THAT(reading.turn.reasoning, HasSubstr("invoke"));
  EXPECT_EQ(reading.turn.content, "no call");
}

TEST(TurnParserV32, CallsInCodeBlocksAreNotCarriedOut) {
  for (const char* fence : {"```", "````", "~~~", "  ```xml", "```\n```\n```"}) {
    const Reading reading =
        read(std::string("So:\n") + fence + "\n\n" + kCall + "\n```\n", Thinking::off);
    EXPECT_EQ(reading.turn.stop, Stop::end) << fence;
    EXPECT_THAT(reading.turn.calls, IsEmpty()) << fence;
    EXPECT_THAT(reading.turn.content, HasSubstr(kCall)) << fence;
  }
}

TEST(TurnParserV32, AClosedCodeBlockHidesNoCall) {
  for (const char* code : {"```\ncode\n```", "```a```", "~~~\n```\n~~~", "````\n```\n````"}) {
    const Reading reading = read(std::string(code) + "\n\n" + kCall, Thinking::off);
    EXPECT_EQ(reading.turn.calls.size(), 1u) << code;
    EXPECT_EQ(reading.turn.content, code);
  }
}

TEST(TurnParserV32, TheOpeningCountsOnlyAtTheStartOfALine) {
  EXPECT_THAT(read("Use `" + kCall + "`", Thinking::off).turn.calls, IsEmpty());
  EXPECT_EQ(read(kCall, Thinking::off).turn.calls.size(), 1u);
  EXPECT_EQ(read("\n" + kCall, Thinking::off).turn.content, "");
  EXPECT_EQ(read("a\n\n\n" + kCall, Thinking::off).turn.content, "a\n");
}

TEST(TurnParserV32, AnUnclosedBlockIsNotCarriedOut) {
  for (std::size_t size = 1; size < kCall.size(); ++size) {
    const std::string part = "text\n\n" + kCall.substr(0, size);
    const Reading ended = read(part, Thinking::off);
    EXPECT_THAT(ended.turn.calls, IsEmpty());
    const bool opened = size >= std::string("<｜DSML｜function_calls>").size();
    EXPECT_EQ(ended.turn.stop, opened ? Stop::malformed : Stop::end) << size;
    EXPECT_EQ(ended.turn.problem.empty(), !opened);
    EXPECT_EQ(ended.turn.content, opened ? "text" : clean_utf8(part));
    EXPECT_EQ(read(part, Thinking::off, Stop::length).turn.stop, Stop::length);
    EXPECT_EQ(read(part, Thinking::off, Stop::interrupted).turn.stop, Stop::interrupted);
  }
  EXPECT_THAT(read(kCall.substr(0, 150), Thinking::off).turn.problem, HasSubstr("call 1 (shell)"));
}

TEST(TurnParserV32, ReasoningThatNeverEndsIsNoAnswer) {
  const Reading reading = read("I think and think");
  EXPECT_EQ(reading.turn.stop, Stop::malformed);
  EXPECT_EQ(reading.turn.reasoning, "I think and think");
  EXPECT_THAT(reading.turn.problem, HasSubstr("reasoning"));
}

TEST(TurnParserV32, MalformedBlocksAreNamedAndNotCarriedOut) {
  const std::string open = "<｜DSML｜function_calls>\n";
  const std::string invoke = open + "<｜DSML｜invoke name=\"f\">\n";
  for (const std::string& bad :
       {open + "</｜DSML｜function_calls>", open + "hello", open + "<｜DSML｜invoke nam=\"f\">",
        open + "<｜DSML｜invoke name=\"" + std::string(300, 'x') + "\">", invoke + "text",
        invoke + "</｜DSML｜function_calls>",
        invoke + "<｜DSML｜parameter name=\"p\" string=\"no\">",
        invoke + "<｜DSML｜parameter name=\"p\">", invoke + "<｜DSML｜invoke name=\"g\">"}) {
    const Reading reading = read(bad + kCall, Thinking::off);
    EXPECT_EQ(reading.turn.stop, Stop::malformed) << bad;
    EXPECT_THAT(reading.turn.calls, IsEmpty()) << bad;
    EXPECT_NE(reading.turn.problem, "") << bad;
    EXPECT_EQ(reading.where, TurnParser::Where::closed);
  }
}

TEST(TurnParserV32, BadValuesBecomeTheProblemOfTheirCall) {
  const auto call = [](const std::string& parameters) {
    return read("<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n" + parameters +
                    "\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
                Thinking::off)
        .turn.calls.at(0);
  };
  const std::string p = "<｜DSML｜parameter name=\"p\" string=";
  EXPECT_THAT(call(p + "\"false\">not json</｜DSML｜parameter>").problem,
              HasSubstr("'p' is not JSON"));
  const std::string twice = p + "\"true\">x</｜DSML｜parameter>";
  EXPECT_THAT(call(twice + "\n" + twice).problem, HasSubstr("'p' is given twice"));
  EXPECT_EQ(call(p + "\"false\"> {\"a\":[1 , 2]} </｜DSML｜parameter>").arguments,
            R"({"p": {"a": [1, 2]}})");
  EXPECT_EQ(call(p + "\"true\">a<</｜DSML｜paramete</｜DSML｜parameter>").arguments,
            R"({"p": "a<</｜DSML｜paramete"})");
  EXPECT_EQ(call("").arguments, "{}");
}

TEST(TurnParserV32, ThereIsALimitOnCallsParametersAndLength) {
  std::string many = "<｜DSML｜function_calls>\n";
  for (int i = 0; i < 65; ++i) many += "<｜DSML｜invoke name=\"f\">\n\n</｜DSML｜invoke>\n";
  EXPECT_THAT(read(many, Thinking::off).turn.problem, HasSubstr("more than 64 calls"));
  std::string wide = "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n";
  for (int i = 0; i < 65; ++i) {
    wide += "<｜DSML｜parameter name=\"p" + std::to_string(i) +
            "\" string=\"true\"></｜DSML｜parameter>\n";
  }
  EXPECT_THAT(read(wide, Thinking::off).turn.problem, HasSubstr("more than 64 parameters"));
  const Reading babble = read(std::string(17 << 20, 'x'), Thinking::off);
  EXPECT_EQ(babble.turn.stop, Stop::malformed);
  EXPECT_EQ(babble.turn.content.size(), std::size_t{16 << 20});
}

TEST(TurnParserV32, BytesThatAreNoUtf8AreReplaced) {
  const Reading reading = read("a\x80</think>b\xE4\xBD\n\n" + kCall);
  EXPECT_EQ(reading.turn.reasoning, "a\uFFFD");
  EXPECT_EQ(reading.turn.content, "b\uFFFD\uFFFD");
  EXPECT_EQ(read("x\xF0\x9F", Thinking::off).turn.content, "x\uFFFD\uFFFD");
}

// --- Laws. --------------------------------------------------------------------------------------

// Random replies out of fragments that matter to the parser, cut and joined at random.
std::string random_reply(std::mt19937& random) {
  static const std::vector<std::string> kFragments = {
      "</think>",
      "<think>",
      "\n",
      "\n\n",
      "a",
      " ",
      "```",
      "~~~",
      "```\n",
      "<",
      "</",
      "<｜DSML｜",
      "</｜DSML｜",
      "<｜DSML｜function_calls>",
      "</｜DSML｜function_calls>",
      "<｜DSML｜invoke name=\"f\">\n",
      "</｜DSML｜invoke>\n",
      "\">",
      "\"",
      "<｜DSML｜parameter name=\"p\" string=\"true\">",
      "</｜DSML｜parameter>\n",
      "<｜DSML｜parameter name=\"q\" string=\"false\">",
      "5",
      "{\"x\": 1}",
      "é",
      "\x80",
      "\xE4\xBD",
      "\xF0\x9F\x98\x80",
      kCall,
      "\n\n" + kCall,
      kCall.substr(0, 120),
      "\\u003c"};
  std::string reply;
  const int n = 1 + static_cast<int>(random() % 12);
  for (int i = 0; i < n; ++i) {
    const std::string& fragment = kFragments[random() % kFragments.size()];
    reply += random() % 8 ? fragment : fragment.substr(0, random() % (fragment.size() + 1));
  }
  return reply;
}

TEST(TurnParserV32, FedInAnyPortionsTheOutcomeIsTheSame) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    const std::string reply = random_reply(random);
    const Thinking thinking = random() % 3 ? Thinking::off : Thinking::on;
    const Reading at_once = read(reply, thinking);
    EXPECT_EQ(read(reply, thinking, Stop::end, [] { return 1; }), at_once) << reply;
    EXPECT_EQ(read(reply, thinking, Stop::end, [&] { return 1 + random() % 9; }), at_once) << reply;
    EXPECT_TRUE(is_utf8(at_once.turn.reasoning + at_once.turn.content + at_once.deltas.call_text));
    for (const ToolCall& call : at_once.turn.calls) EXPECT_NO_THROW(json_members(call.arguments));
  }
}

std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> kParts = {"a",
                                                  "B c",
                                                  "\n",
                                                  "\n\n",
                                                  "<",
                                                  ">",
                                                  "</",
                                                  "\"",
                                                  "\\",
                                                  "é",
                                                  "你好",
                                                  "😀",
                                                  "</｜DSML｜parameter>",
                                                  "<｜DSML｜invoke",
                                                  "</｜DSML｜",
                                                  "｜",
                                                  "{",
                                                  "\t",
                                                  "\x01",
                                                  "</result>",
                                                  "&lt;",
                                                  "\\u003c"};
  std::string text;
  const int n = static_cast<int>(random() % 6);
  for (int i = 0; i < n; ++i) text += kParts[random() % kParts.size()];
  return text;
}

TEST(TurnParserV32, WhatWasRenderedIsReadBack) {
  std::mt19937 random(11);
  const auto format = ChatFormat::named("deepseek-v3.2");
  for (int round = 0; round < 5000; ++round) {
    Message reply{Role::assistant, random_text(random), random_text(random)};
    for (int call = static_cast<int>(random() % 4); call > 0; --call) {
      std::string arguments = "{";
      for (int i = 0, n = static_cast<int>(random() % 4); i < n; ++i) {
        const std::string text = json_quote(random_text(random));
        const std::string values[] = {text,
                                      text,
                                      "-12.5",
                                      "true",
                                      "null",
                                      "[1, " + text + "]",
                                      "{" + text + ": {\"k\": " + text + "}}"};
        arguments += (i ? ", \"p" : "\"p") + std::to_string(i) + "\": " + values[random() % 7];
      }
      reply.calls.push_back({"", "tool_" + std::to_string(call), arguments + "}"});
    }
    const Message user{Role::user, "x"};
    const std::string prompt = text_of(format->render(std::vector{user}, {}, Thinking::on));
    const std::string whole = text_of(format->render(std::vector{user, reply}, {}, Thinking::on));
    const std::string eos = "<｜end▁of▁sentence｜>";
    ASSERT_TRUE(whole.starts_with(prompt) && whole.ends_with(eos));
    const std::string said = whole.substr(prompt.size(), whole.size() - prompt.size() - eos.size());
    const Turn turn = read(said).turn;
    EXPECT_EQ(turn.reasoning, reply.reasoning) << said;
    EXPECT_EQ(turn.content, reply.content) << said;
    EXPECT_EQ(turn.calls, reply.calls) << said;
    EXPECT_EQ(turn.stop, reply.calls.empty() ? Stop::end : Stop::calls) << said;
  }
}

}  // namespace
}  // namespace corvid::model
