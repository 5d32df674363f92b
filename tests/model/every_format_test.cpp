// Laws that hold for the replies of every chat format: what is rendered is read back, however it is
// cut, whatever is wrong with it; and under the constraint nothing is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "model/text/chat_format.h"
#include "model/text/constraint.h"
#include "model/text/json_text.h"
#include "model/text/utf8.h"
#include "tests/model/vocabulary.h"

namespace corvid::model {
namespace {

using testing::tokenizer_for;

const std::vector<ToolSpec> kTools = {
    {"shell", "",
     R"({"type": "object", "properties": {"command": {"type": "string"},
         "timeout": {"type": "integer"}}, "required": ["command"]})"},
    {"sh", "", R"({"type": "object", "properties": {"line": {"type": "string"}}})"},
    {"search", "",
     R"({"type": "object", "properties": {"pattern": {"type": "string"},
         "mode": {"enum": ["files", "lines", "count"]}, "ratio": {"type": "number"},
         "hidden": {"type": "boolean"}}, "required": ["pattern", "mode"]})"},
    {"plan", "",
     R"({"type": "object", "properties": {"items": {"type": "array", "items": {
           "type": "object", "properties": {"text": {"type": "string"},
           "state": {"enum": ["open", "done", 3, null]}}, "required": ["text", "state"]}},
         "extra": {"type": "object"}, "items2": {"type": "array"}}, "required": ["items"]})"},
    {"now", "", R"({"type": "object", "properties": {}})"},
};

class EveryFormat : public ::testing::TestWithParam<std::string_view> {
 protected:
  std::shared_ptr<const ChatFormat> format = ChatFormat::named(GetParam());
  std::mt19937 random{11};

  std::unique_ptr<TurnParser> parser(Thinking thinking) const {
    return format->parser(format->thinking(thinking, {}), kTools);
  }
  bool thinks() const { return format->thinking(Thinking::on, {}) == Thinking::on; }

  // What a model would have said for this reply, after its prefix.
  Pieces said(const Turn& turn) const {
    Pieces pieces = format->history(turn, false);
    for (const Piece& prefix : format->history_prefix(false)) {
      EXPECT_TRUE(pieces.front().text.starts_with(prefix.text));
      pieces.front().text.erase(0, prefix.text.size());
      if (pieces.front().text.empty()) pieces.erase(pieces.begin());
    }
    if (!format->reply_suffix().empty()) pieces.pop_back();
    return pieces;
  }

  std::string random_text() {
    static const std::vector<std::string> kParts = {
        "a", "B c", "\n", "\n\n", "<", ">", "</", "\"", "\\", "é", "你好", "😀", "｜", "{", "}",
        "\t", "\x01", "&lt;", "\\u003c", "5", "null", "```", "```json\n",
        // markers of all formats, as text
        "</｜DSML｜parameter>", "<｜DSML｜invoke", "</｜DSML｜", "</tool_call>", "<arg_key>",
        "</arg_value>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "<｜tool▁sep｜>",
        "}\n</tool_call>", "<|observation|>", "</tool_response>", "\"}}", "\xF8\xFF"};
    std::string text;
    for (int n = static_cast<int>(random() % 6); n > 0; --n) {
      text += clean_utf8(kParts[random() % kParts.size()]);
    }
    return text;
  }

  ToolCall random_call() {
    const std::string text = json_quote(random_text());
    switch (random() % 5) {
      case 0:
        return {"", "shell", "{\"command\": " + text + ", \"timeout\": -3}"};
      case 1:
        return {"", "sh", random() % 2 ? "{\"line\": " + text + "}" : "{}"};
      case 2:
        return {"", "search",
                "{\"mode\": \"count\", \"pattern\": " + text +
                    ", \"ratio\": 1.5e-07, \"hidden\": " + (random() % 2 ? "true}" : "false}")};
      case 3:
        return {"", "plan",
                "{\"items\": [{\"text\": " + text + ", \"state\": 3}], \"extra\": {" + text +
                    ": [1, " + text + "]}, \"items2\": [" + text + "]}"};
      default:
        return {"", "now", "{}"};
    }
  }

  Turn random_turn(std::size_t max_calls) {
    Turn turn;
    // An open code block would hide calls that are written as text, as it should.
    do {
      turn.content = "x" + random_text() + "x";
    } while (turn.content.find("```") != std::string::npos);
    for (std::size_t n = random() % (max_calls + 1); n > 0; --n) {
      turn.calls.push_back(random_call());
    }
    return turn;
  }

  // Feeds in portions of random size; what was shown must be what the turn says.
  Turn read(TurnParser& parser, const Pieces& pieces, Stop stop = Stop::end,
            std::size_t portion = 0) {
    Delta shown;
    for (const Piece& piece : pieces) {
      if (piece.special) {
        shown += parser.feed_special(piece.text);
        continue;
      }
      std::string_view rest = piece.text;
      while (!rest.empty()) {
        const std::size_t size = portion ? portion : 1 + random() % 9;
        shown += parser.feed(rest.substr(0, size));
        rest.remove_prefix(std::min(size, rest.size()));
      }
    }
    const Turn turn = parser.finish(stop);
    EXPECT_TRUE(turn.reasoning.starts_with(shown.reasoning));
    EXPECT_TRUE(turn.content.starts_with(shown.content));
    EXPECT_TRUE(is_utf8(turn.reasoning + turn.content + shown.call_text));
    for (std::size_t i = 0; i < turn.calls.size(); ++i) {
      const ToolCall& call = turn.calls[i];
      EXPECT_NO_THROW(json_members(call.arguments));
      if (call.problem.empty()) {
        EXPECT_EQ(shown.calls.at(i), (CallPart{i, "", call.name, call.arguments}));
      }
    }
    return turn;
  }
};

bool same(const Turn& a, const Turn& b) {
  return a.stop == b.stop && a.reasoning == b.reasoning && a.content == b.content &&
         a.calls == b.calls && a.problem == b.problem;
}

TEST_P(EveryFormat, WhatWasRenderedIsReadBack) {
  for (int round = 0; round < 500; ++round) {
    const Turn turn = random_turn(3);
    Pieces pieces = said(turn);
    std::string reasoning;
    if (thinks()) {
      reasoning = random_text();
      pieces.insert(pieces.begin(), {{false, reasoning}, {true, "</think>"}});
    }
    const Turn found = read(*parser(Thinking::on), pieces);
    ASSERT_EQ(found.reasoning, reasoning);
    ASSERT_EQ(found.content, turn.content) << text_of(pieces);
    ASSERT_EQ(found.calls, turn.calls) << text_of(pieces);
    ASSERT_EQ(found.stop, turn.calls.empty() ? Stop::end : Stop::calls) << text_of(pieces);
    ASSERT_EQ(found.problem, "");
  }
}

// Fragments of this format's replies, cut, doubled and joined at random.
TEST_P(EveryFormat, AnyReplyInAnyPortionsHasOneOutcome) {
  int n_calls = 0;
  for (int round = 0; round < 800; ++round) {
    Pieces pieces;
    if (random() % 3) pieces.push_back({true, "</think>"});
    for (int n = 1 + static_cast<int>(random() % 3); n > 0; --n) {
      Pieces more = said(random_turn(3));
      if (random() % 2) {  // damage
        Piece& piece = more[random() % more.size()];
        switch (random() % 5) {
          case 0:
            piece.text.resize(random() % (piece.text.size() + 1));
            piece.special = false;
            break;
          case 1:
            piece.special = false;
            break;
          case 2:
            piece = {false, "\xE4\xBD\x80\xF9"};
            break;
          case 3:
            more.insert(more.begin() + static_cast<long>(random() % more.size()), piece);
            break;
          default:
            more.resize(random() % (more.size() + 1));
        }
      }
      pieces.insert(pieces.end(), more.begin(), more.end());
    }
    std::erase_if(pieces, [](const Piece& piece) { return piece.text.empty(); });
    const Thinking thinking = random() % 2 ? Thinking::on : Thinking::off;
    const Turn at_once = read(*parser(thinking), pieces, Stop::end, 1 << 20);
    n_calls += static_cast<int>(at_once.calls.size());
    ASSERT_TRUE(same(read(*parser(thinking), pieces, Stop::end, 1), at_once)) << text_of(pieces);
    ASSERT_TRUE(same(read(*parser(thinking), pieces), at_once)) << text_of(pieces);
  }
  EXPECT_GT(n_calls, 30);
}

TEST_P(EveryFormat, AReplyThatWasCutShortCarriesNothingOut) {
  Turn turn;
  turn.content = "Doing it.";
  turn.calls = {{"", "shell", R"({"command": "ls", "timeout": 3})"}, {"", "now", "{}"}};
  const Pieces whole = said(turn);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const std::size_t size = whole[n].special ? 1 : whole[n].text.size();
    for (std::size_t at = 0; at < size; ++at) {
      Pieces cut(whole.begin(), whole.begin() + static_cast<long>(n));
      if (!whole[n].special) cut.push_back({false, whole[n].text.substr(0, at)});
      for (Stop stop : {Stop::length, Stop::interrupted, Stop::context_full}) {
        const Turn found = read(*parser(Thinking::off), cut, stop);
        ASSERT_TRUE(found.calls.empty()) << text_of(cut);
        ASSERT_EQ(found.stop, stop);
      }
    }
  }
}

// --- The constraint. -----------------------------------------------------------------------------

TEST_P(EveryFormat, EveryRenderedCallIsAllowedAndForcedRunsAreItsOwnTokens) {
  const auto tokenizer = tokenizer_for(*format);
  const Token end = *tokenizer->special(format->syntax().ends().front());
  int n_tokens = 0, n_forced = 0;
  for (int round = 0; round < 12; ++round) {
    Turn turn = random_turn(2);
    turn.calls.push_back(random_call());
    turn.content = "x";
    std::vector<Token> tokens = tokenizer->encode(said(turn));
    tokens.push_back(end);
    const auto constraint = call_constraint(format, tokenizer, kTools, Thinking::off);
    TokenMask mask(tokenizer->vocab_size());
    for (std::size_t i = 0; i < tokens.size();) {
      const std::vector<Token> forced = constraint->forced();
      ASSERT_LE(forced.size(), tokens.size() - i);
      for (std::size_t j = 0; j < forced.size(); ++j) {
        ASSERT_EQ(forced[j], tokens[i + j]) << "'" << tokenizer->bytes(forced[j]) << "' after "
                                            << tokenizer->decode(std::span(tokens).first(i));
        constraint->accept(forced[j]);
      }
      i += forced.size();
      n_forced += static_cast<int>(forced.size());
      if (i == tokens.size()) break;
      constraint->mask(mask);
      ASSERT_TRUE(mask.allows(tokens[i])) << "'" << tokenizer->bytes(tokens[i]) << "' after "
                                          << tokenizer->decode(std::span(tokens).first(i));
      constraint->accept(tokens[i++]);
    }
    n_tokens += static_cast<int>(tokens.size());
  }
  EXPECT_GT(n_forced * 10, n_tokens);
}

bool fits(const nlohmann::json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  return type == "string" && value.is_string();
}

void expect_well_formed(const ToolCall& call) {
  EXPECT_EQ(call.problem, "");
  const auto spec = std::ranges::find(kTools, call.name, &ToolSpec::name);
  ASSERT_NE(spec, kTools.end()) << call.name;
  const auto schema = nlohmann::json::parse(spec->parameters);
  const auto arguments = nlohmann::json::parse(call.arguments);
  for (const auto& name : schema.value("required", nlohmann::json::array())) {
    EXPECT_TRUE(arguments.contains(name)) << call.arguments;
  }
  for (const auto& [name, value] : arguments.items()) {
    ASSERT_TRUE(schema["properties"].contains(name));
    const auto& property = schema["properties"][name];
    if (property.contains("type")) {
      EXPECT_TRUE(fits(value, property["type"])) << call.arguments;
    }
  }
}

TEST_P(EveryFormat, RandomRepliesUnderTheMaskAreWellFormedCalls) {
  const auto tokenizer = tokenizer_for(*format);
  const ReplySyntax& syntax = format->syntax();
  const Token end = *tokenizer->special(syntax.ends().front());
  std::vector<Token> likely;
  for (const ToolCall& call : {random_call(), random_call(), random_call()}) {
    Turn turn;
    turn.calls = {call, call};
    for (Token token : tokenizer->encode(said(turn))) likely.push_back(token);
  }
  for (const char* text : {"</", ">", "\"", "\",", "}", "]", "1", ":", "a", "}}"}) {
    for (Token token : tokenizer->encode(text)) likely.push_back(token);
  }
  int n_closed = 0;
  for (int round = 0; round < 20; ++round) {
    const auto constraint = call_constraint(format, tokenizer, kTools, Thinking::off);
    std::vector<Token> reply = tokenizer->encode(syntax.pieces(syntax.calls().commitment));
    for (Token token : reply) constraint->accept(token);
    ASSERT_FALSE(constraint->free());
    TokenMask mask(tokenizer->vocab_size());
    while (reply.size() < 500 && reply.back() != end) {
      std::vector<Token> next = constraint->forced();
      if (next.empty()) {
        constraint->mask(mask);
        Token token = mask.allows(end) && random() % 3 == 0 ? end : 0;
        for (int tries = 0; token == 0 && tries < 40; ++tries) {
          const Token likely_one = likely[random() % likely.size()];
          if (mask.allows(likely_one)) token = likely_one;
        }
        while (!mask.allows(token)) token = (token + 1) % tokenizer->vocab_size();
        next = {token};
      }
      for (Token token : next) {
        constraint->accept(token);
        reply.push_back(token);
      }
    }
    if (reply.back() != end) continue;
    ++n_closed;
    reply.pop_back();
    const auto parser = format->parser(Thinking::off, kTools);
    for (Token token : reply) {
      const std::string_view bytes = tokenizer->bytes(token);
      tokenizer->is_special(token) ? parser->feed_special(bytes) : parser->feed(bytes);
    }
    const Turn turn = parser->finish(Stop::end);
    ASSERT_EQ(turn.stop, Stop::calls) << turn.problem << tokenizer->decode(reply);
    for (const ToolCall& call : turn.calls) expect_well_formed(call);
    if (HasFailure()) FAIL() << tokenizer->decode(reply);
  }
  EXPECT_GT(n_closed, 4);
}

INSTANTIATE_TEST_SUITE_P(All, EveryFormat, ::testing::ValuesIn(ChatFormat::names()),
                         [](const auto& info) {
                           std::string name(info.param);
                           std::ranges::replace_if(
                               name, [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace corvid::model
