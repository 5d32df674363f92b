#include "model/text/constraint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "model/text/chat_format.h"
#include "model/text/json_text.h"
#include "model/text/reply_rule.h"
#include "tests/model/vocabulary.h"

namespace corvid::model {
namespace {

using testing::deepseek_tokenizer;
using ::testing::ElementsAre;

const std::vector<ToolSpec> kTools = {
    {"shell", "",
     R"({"type": "object", "properties": {"command": {"type": "string"},
         "timeout": {"type": "integer"}}, "required": ["command"]})"},
    {"search", "",
     R"({"type": "object", "properties": {"pattern": {"type": "string"},
         "mode": {"enum": ["files", "lines", "count"]}, "ratio": {"type": "number"},
         "hidden": {"type": "boolean"}}, "required": ["pattern", "mode"]})"},
    {"plan", "",
     R"({"type": "object", "properties": {"items": {"type": "array", "items": {
           "type": "object", "properties": {"text": {"type": "string"},
           "state": {"enum": ["open", "done", 3, null]}}, "required": ["text", "state"]}},
         "extra": {}, "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
         "tree": {"$ref": "#/$defs/tree"}}, "required": ["items"],
         "$defs": {"tree": {"type": "object", "properties": {"name": {"type": "string"},
           "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
           "required": ["name"]}}})"},
    {"now", "", R"({"type": "object", "properties": {}})"},
};

std::unique_ptr<Constraint> constraint(Thinking thinking = Thinking::off) {
  return call_constraint(ChatFormat::named("deepseek-v3.2"), deepseek_tokenizer(), kTools,
                         thinking);
}

bool allows(const Constraint& constraint, Token token) {
  TokenMask mask(deepseek_tokenizer()->vocab_size());
  constraint.mask(mask);
  return mask.allows(token);
}

void accept(Constraint& constraint, std::string_view text) {
  for (Token token : deepseek_tokenizer()->encode(text)) constraint.accept(token);
}

// All texts among `candidates` (each of one token) that may come next.
std::vector<std::string> allowed_of(const Constraint& constraint,
                                    std::vector<std::string> candidates) {
  std::erase_if(candidates, [&](const std::string& text) {
    const std::vector<Token> tokens = deepseek_tokenizer()->encode(text);
    EXPECT_EQ(tokens.size(), 1u) << text;
    return !allows(constraint, tokens[0]);
  });
  return candidates;
}

std::string call_text(const std::string& name, const std::string& arguments) {
  Turn turn;
  turn.calls = {{"", name, arguments}};
  const Pieces pieces = ChatFormat::named("deepseek-v3.2")->history(turn, true);
  return pieces[1].text;  // between </think> and the end of the reply
}

const std::string kOpenShell = "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"shell\">\n";

TEST(Constraint, ReasoningAndContentAreFree) {
  const auto thinking = constraint(Thinking::on);
  EXPECT_TRUE(thinking->free());
  accept(*thinking, "x" + kOpenShell);
  EXPECT_TRUE(thinking->free());
  thinking->accept(*deepseek_tokenizer()->special("</think>"));
  accept(*thinking, "x `<｜DSML｜function_calls>` ");
  EXPECT_TRUE(thinking->free());
  accept(*thinking, "\n```\n<｜DSML｜function_calls>\n<b>");
  EXPECT_TRUE(thinking->free());
  EXPECT_TRUE(thinking->forced().empty());
}

TEST(Constraint, AMarkerAtTheStartOfALineCommitsToCalls) {
  const auto now = constraint();
  accept(*now, "ok\n\n<");
  EXPECT_FALSE(now->free());
  EXPECT_TRUE(allows(*now, deepseek_tokenizer()->encode("b")[0]));
  EXPECT_TRUE(allows(*now, deepseek_tokenizer()->eos()));
  accept(*now, "｜DSML｜");
  EXPECT_THAT(allowed_of(*now, {"function", "func", "f", "x", "\n"}),
              ElementsAre("function", "func", "f"));
  EXPECT_FALSE(allows(*now, deepseek_tokenizer()->eos()));
  EXPECT_EQ(deepseek_tokenizer()->decode(now->forced()),
            "function_calls>\n<｜DSML｜invoke name");  // the last piece is the model's
}

TEST(Constraint, OnlyKnownToolsAndParameters) {
  const auto now = constraint();
  accept(*now, "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"");
  EXPECT_THAT(allowed_of(*now, {"shell", "se", "search", "plan", "now", "write", "sh", "\">\n"}),
              ElementsAre("shell", "se", "search", "plan", "now", "sh"));
  accept(*now, "shell\">\n<｜DSML｜parameter name=\"");
  EXPECT_THAT(allowed_of(*now, {"command", "time", "path", "com"}),
              ElementsAre("command", "time", "com"));
}

TEST(Constraint, RequiredParametersComeBeforeTheCallCloses) {
  const auto now = constraint();
  accept(*now, kOpenShell);
  EXPECT_THAT(allowed_of(*now, {"<", "</", "\n"}), ElementsAre("<"));
  accept(*now, "<｜DSML｜parameter name=\"timeout\" string=\"false\">5</｜DSML｜parameter>\n");
  EXPECT_THAT(allowed_of(*now, {"<", "</"}), ElementsAre("<"));
  accept(*now, "<｜DSML｜parameter name=\"");
  EXPECT_THAT(allowed_of(*now, {"command", "time"}), ElementsAre("command"));
  accept(*now, "command\" string=\"true\">ls</｜DSML｜parameter>\n");
  EXPECT_THAT(allowed_of(*now, {"<", "</"}), ElementsAre("<", "</"));  // "<" may begin the end
  accept(*now, "<");
  EXPECT_THAT(allowed_of(*now, {"｜", "/"}), ElementsAre("/"));
}

TEST(Constraint, KindFollowsTheSchema) {
  const auto kinds = [](const std::string& tool, const std::string& parameter) {
    const auto now = constraint();
    accept(*now, "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"" + tool +
                     "\">\n<｜DSML｜parameter name=\"" + parameter + "\" string=\"");
    return allowed_of(*now, {"true", "false"});
  };
  EXPECT_THAT(kinds("shell", "timeout"), ElementsAre("false"));
  EXPECT_THAT(kinds("shell", "command"), ElementsAre("true", "false"));  // false: escaped text
  EXPECT_THAT(kinds("search", "mode"), ElementsAre("true"));
  EXPECT_THAT(kinds("plan", "items"), ElementsAre("false"));
  EXPECT_THAT(kinds("plan", "maybe"), ElementsAre("true", "false"));
}

TEST(Constraint, AStringPayloadIsFreeUpToItsClosingTag) {
  const auto now = constraint();
  accept(*now, kOpenShell + "<｜DSML｜parameter name=\"command\" string=\"true\">");
  EXPECT_THAT(allowed_of(*now, {"<", "</", "\"", "\n\n", "echo", "｜"}).size(), 6u);
  EXPECT_FALSE(allows(*now, deepseek_tokenizer()->eos()));
  accept(*now, "a </｜DSML｜param <</｜DSML｜parameter");
  EXPECT_THAT(allowed_of(*now, {">", ">\n", "x", ">\n\n", "><"}), ElementsAre(">", ">\n", "x"));
}

TEST(Constraint, EnumeratedStringsAndTypedValues) {
  const auto at = [](const std::string& parameter_and_value) {
    auto now = constraint();
    accept(*now,
           "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"search\">\n"
           "<｜DSML｜parameter name=\"" +
               parameter_and_value);
    return now;
  };
  EXPECT_THAT(allowed_of(*at("mode\" string=\"true\">"), {"files", "lines", "f", "words", "</"}),
              ElementsAre("files", "lines", "f"));
  EXPECT_THAT(allowed_of(*at("mode\" string=\"true\">files"), {"</", "<", " "}),
              ElementsAre("</", "<"));
  EXPECT_THAT(allowed_of(*at("ratio\" string=\"false\">"), {"1", "-", "0", "12", "\"", "t", "."}),
              ElementsAre("1", "-", "0", "12"));
  EXPECT_THAT(allowed_of(*at("ratio\" string=\"false\">1"), {".", "e", "3", "</", ","}),
              ElementsAre(".", "e", "3", "</"));
  EXPECT_THAT(allowed_of(*at("ratio\" string=\"false\">1."), {"5", "</", "."}), ElementsAre("5"));
  EXPECT_THAT(allowed_of(*at("hidden\" string=\"false\">"), {"true", "false", "null", "1"}),
              ElementsAre("true", "false"));
}

TEST(Constraint, NestedValuesKeepToTheirSchema) {
  const auto at = [](const std::string& value) {
    auto now = constraint();
    accept(*now,
           "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"plan\">\n"
           "<｜DSML｜parameter name=\"items\" string=\"false\">" +
               value);
    return now;
  };
  EXPECT_THAT(allowed_of(*at(""), {"[", "{", "1"}), ElementsAre("["));
  EXPECT_THAT(allowed_of(*at("["), {"{", "]", "\"", "1"}), ElementsAre("{", "]"));
  EXPECT_THAT(allowed_of(*at("[{"), {"}", "\"", "\"\"", "1"}), ElementsAre("\""));
  EXPECT_THAT(allowed_of(*at("[{\""), {"text", "state", "more", "\""}),
              ElementsAre("text", "state"));
  EXPECT_THAT(allowed_of(*at("[{\"text\": \"x"), {"\"}", "\",", "\"", "y"}),
              ElementsAre("\",", "\"", "y"));
  EXPECT_THAT(allowed_of(*at("[{\"text\": \"x\", \"state\": "), {"\"", "3", "null", "4"}),
              ElementsAre("\"", "3", "null"));
  EXPECT_THAT(allowed_of(*at("[{\"text\": \"x\", \"state\": 3"), {"}", "},", ",", "3"}),
              ElementsAre("}", "},"));
  EXPECT_THAT(allowed_of(*at("[{\"text\": \"a</｜DSML｜parameter"), {">", "x", "\""}),
              ElementsAre("x", "\""));
}

TEST(Constraint, AfterTheBlockOnlyTheEnd) {
  const auto now = constraint();
  const std::string text = call_text("now", "{}");
  accept(*now, text.substr(0, text.size() - 1));
  EXPECT_THAT(allowed_of(*now, {">", ">\n", "><", ">\n\n"}), ElementsAre(">"));
  EXPECT_EQ(deepseek_tokenizer()->decode(now->forced()), "><｜end▁of▁sentence｜>");
  accept(*now, ">");
  TokenMask only_end(deepseek_tokenizer()->vocab_size());
  only_end.allow(deepseek_tokenizer()->eos());
  TokenMask mask(deepseek_tokenizer()->vocab_size());
  now->mask(mask);
  EXPECT_EQ(mask, only_end);
  EXPECT_THAT(now->forced(), ElementsAre(deepseek_tokenizer()->eos()));
}

TEST(Constraint, SpecialTokensAreNoPartOfCalls) {
  const auto now = constraint();
  accept(*now, kOpenShell + "<｜DSML｜parameter name=\"command\" string=\"true\">");
  for (const char* special : {"<think>", "</think>", "<｜User｜>", "<｜Assistant｜>"}) {
    EXPECT_FALSE(allows(*now, *deepseek_tokenizer()->special(special)));
  }
}

TEST(Constraint, RollbackTakesTokensBack) {
  const auto now = constraint();
  accept(*now, kOpenShell);
  TokenMask before(deepseek_tokenizer()->vocab_size()), after = before;
  now->mask(before);
  accept(*now, "<｜DSML｜parameter name=\"");
  now->rollback(
      static_cast<int>(deepseek_tokenizer()->encode("<｜DSML｜parameter name=\"").size()));
  now->mask(after);
  EXPECT_EQ(before, after);
}

TEST(Constraint, TextThatBreaksTheRulesIsGivenUp) {
  const auto now = constraint();
  accept(*now, "\n\n<｜DSML｜nonsense");
  EXPECT_TRUE(now->free());
}

TEST(Constraint, AnImpossibleSchemaIsGivenUp) {
  const std::vector<ToolSpec> tools = {
      {"f", "", R"({"properties": {"p": {"$ref": "#/$defs/x"}}, "required": ["p"], "$defs": {"x":
                   {"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}},
                    "required": ["x"]}}})"}};
  const auto now = call_constraint(ChatFormat::named("deepseek-v3.2"), deepseek_tokenizer(), tools,
                                   Thinking::off);
  accept(*now, "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n");
  for (int i = 0; i < 200 && !now->free(); ++i) {
    TokenMask mask(deepseek_tokenizer()->vocab_size());
    now->mask(mask);
    Token next = 0;
    while (!mask.allows(next) || deepseek_tokenizer()->is_special(next)) ++next;
    now->accept(next);
  }
  EXPECT_TRUE(now->free());
}

// --- Laws. --------------------------------------------------------------------------------------

const std::vector<std::pair<std::string, std::string>> kCalls = {
    {"shell", R"({"command": "ls -la | grep \"x\"\n", "timeout": 30})"},
    {"shell", R"({"timeout": -1, "command": "你好 <b> </ </｜ \n\n"})"},
    {"shell", R"({"command": "printf '</｜DSML｜parameter>' \\ \t"})"},
    {"shell", R"({"command": ""})"},
    {"search", R"({"mode": "count", "pattern": "a.*b", "ratio": 1.5e-07, "hidden": false})"},
    {"plan", R"({"items": []})"},
    {"plan", R"({"items": [{"text": "a \"b\" \\ é \u0001", "state": "open"},
                           {"state": null, "text": ""}], "extra": {"any": [1, {"x": [true]}]},
                 "maybe": null, "tree": {"name": "r", "children": [{"name": "c"}]}})"},
    {"plan", R"({"maybe": "null", "items": [], "extra": "text"})"},
    {"now", "{}"},
};

// What the format renders is allowed token by token, and what is forced is what it renders.
TEST(Constraint, EveryRenderedCallIsAllowedAndForcedRunsAreItsOwnTokens) {
  int n_tokens = 0, n_forced = 0;
  for (const auto& [name, arguments] : kCalls) {
    const auto now = constraint();
    std::vector<Token> tokens = deepseek_tokenizer()->encode("Text." + call_text(name, arguments));
    tokens.push_back(deepseek_tokenizer()->eos());
    for (std::size_t i = 0; i < tokens.size();) {
      const std::vector<Token> forced = now->forced();
      ASSERT_LE(forced.size(), tokens.size() - i) << name << arguments;
      for (std::size_t j = 0; j < forced.size(); ++j) {
        ASSERT_EQ(forced[j], tokens[i + j])
            << name << arguments << ": '" << deepseek_tokenizer()->bytes(forced[j]) << "' after "
            << deepseek_tokenizer()->decode(std::span(tokens).first(i));
      }
      for (Token token : forced) now->accept(token);
      n_forced += static_cast<int>(forced.size());
      i += forced.size();
      if (i == tokens.size()) break;
      ASSERT_TRUE(allows(*now, tokens[i]))
          << name << arguments << ": '" << deepseek_tokenizer()->bytes(tokens[i]) << "'";
      now->accept(tokens[i++]);
    }
    n_tokens += static_cast<int>(tokens.size());
  }
  EXPECT_GT(n_forced * 2, n_tokens);  // most of a call costs no model step
}

bool fits(const nlohmann::json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  if (type == "array") return value.is_array();
  return type == "string" && value.is_string();
}

// Whatever a model says under the mask, a block that closes holds well-formed calls.
TEST(Constraint, RandomRepliesUnderTheMaskAreWellFormedCalls) {
  const auto tokenizer = deepseek_tokenizer();
  std::mt19937 random(5);
  const std::vector<Token> likely = [&] {
    std::vector<Token> tokens;
    for (const char* text :
         {"</", "｜", "DS", "ML", "param", "eter",     ">", ">\n", "\"",  "\",", "}",
          "]",  "<",  "in", "v",  "oke",   "function", "1", "5",   "\":", "a"}) {
      for (Token token : tokenizer->encode(text)) tokens.push_back(token);
    }
    return tokens;
  }();
  int n_closed = 0;
  for (int round = 0; round < 60; ++round) {
    const auto now = constraint();
    const auto parser = ChatFormat::named("deepseek-v3.2")->parser(Thinking::off, kTools);
    std::vector<Token> said = tokenizer->encode("\n\n<｜DSML｜");
    for (Token token : said) now->accept(token);
    TokenMask mask(tokenizer->vocab_size());
    while (said.size() < 600 && said.back() != tokenizer->eos()) {
      std::vector<Token> next = now->forced();
      if (next.empty()) {
        now->mask(mask);
        Token token = 0;
        for (int tries = 0; tries < 40; ++tries) {
          token = likely[random() % likely.size()];
          if (mask.allows(token)) break;
        }
        while (!mask.allows(token)) token = (token + 1) % tokenizer->vocab_size();
        next = {token};
      }
      for (Token token : next) {
        now->accept(token);
        said.push_back(token);
      }
    }
    if (said.back() != tokenizer->eos()) continue;
    ++n_closed;
    said.pop_back();
    parser->feed(tokenizer->decode(said));
    const Turn turn = parser->finish(Stop::end);
    ASSERT_EQ(turn.stop, Stop::calls) << turn.problem << tokenizer->decode(said);
    for (const ToolCall& call : turn.calls) {
      EXPECT_EQ(call.problem, "");
      const auto spec = std::ranges::find(kTools, call.name, &ToolSpec::name);
      ASSERT_NE(spec, kTools.end());
      const auto schema = nlohmann::json::parse(spec->parameters);
      const auto arguments = nlohmann::json::parse(call.arguments);
      for (const auto& name : schema.value("required", nlohmann::json::array())) {
        EXPECT_TRUE(arguments.contains(name)) << call.arguments;
      }
      for (const auto& [name, value] : arguments.items()) {
        ASSERT_TRUE(schema["properties"].contains(name));
        const auto& property = schema["properties"][name];
        if (property.contains("type") && property["type"] != "object") {
          EXPECT_TRUE(fits(value, property["type"])) << call.arguments;
        }
      }
    }
  }
  EXPECT_GT(n_closed, 15);
}

// --- Rules ---------------------------------------------------------------------------------------

std::unique_ptr<Constraint> ruled(const ReplyRule& rule, std::span<const ToolSpec> tools = kTools,
                                  Thinking thinking = Thinking::off) {
  return ruled_constraint(ChatFormat::named("deepseek-v3.2"), deepseek_tokenizer(), tools, thinking,
                          rule);
}

TEST(ReplyRule, ANeededCallComesAtOnce) {
  const auto constraint = ruled({ReplyRule::Calls::needed, ""});
  const std::string forced = deepseek_tokenizer()->decode(constraint->forced());
  EXPECT_TRUE(
      std::string("\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"").starts_with(forced));
  EXPECT_GT(forced.size(), 20u);
  EXPECT_FALSE(constraint->free());
}

TEST(ReplyRule, ANeededCallWaitsForTheReasoning) {
  const auto constraint = ruled({ReplyRule::Calls::needed, ""}, kTools, Thinking::on);
  EXPECT_TRUE(constraint->free());
  accept(*constraint, "I think");
  EXPECT_TRUE(constraint->free());
  constraint->accept(*deepseek_tokenizer()->special("</think>"));
  EXPECT_FALSE(constraint->forced().empty());
}

TEST(ReplyRule, AForbiddenCallCannotBegin) {
  const auto constraint = ruled({ReplyRule::Calls::none, ""});
  const std::vector<Token> opening = deepseek_tokenizer()->encode("<｜DSML｜function_calls>");
  std::size_t n = 0;
  for (; n < opening.size() && (constraint->free() || allows(*constraint, opening[n])); ++n) {
    constraint->accept(opening[n]);
  }
  EXPECT_LT(n, opening.size());
  // Nothing of it that could be nothing else.
  const std::string begun = deepseek_tokenizer()->decode(std::span(opening).first(n));
  EXPECT_EQ(begun.find("｜"), begun.npos) << begun;
}

TEST(ReplyRule, AfterTheOneCallThatIsWantedTheBlockEnds) {
  const std::string text = call_text("now", "{}");
  const std::size_t end = text.find("</｜DSML｜function_calls>");
  const auto forced_after_a_call = [&](const ReplyRule& rule) {
    const auto constraint = ruled(rule);
    accept(*constraint, text.substr(0, end));
    return deepseek_tokenizer()->decode(constraint->forced());
  };
  EXPECT_EQ(forced_after_a_call({.one_call = true}), text.substr(end) + "<｜end▁of▁sentence｜>");
  EXPECT_FALSE(forced_after_a_call({}).ends_with(">"));
}

TEST(ReplyRule, WhateverIsSampledTheContentIsJsonOfItsSchema) {
  const std::string schema = R"({"type": "object", "properties": {"n": {"type": "integer"},
      "kind": {"enum": ["x", "y", null]}, "list": {"type": "array", "items": {"type": "boolean"}}},
      "required": ["n", "kind"]})";
  std::mt19937 random(7);
  for (int run = 0; run < 20; ++run) {
    const auto constraint = ruled({ReplyRule::Calls::free, schema}, {});
    const auto tokenizer = deepseek_tokenizer();
    std::vector<Token> said;
    const Token end = tokenizer->eos();
    while (said.empty() || said.back() != end) {
      ASSERT_LT(said.size(), 2000u);
      std::vector<Token> next = constraint->forced();
      if (next.empty()) {
        TokenMask mask(tokenizer->vocab_size());
        constraint->mask(mask);
        std::vector<Token> allowed;
        for (Token token = 0; token < tokenizer->vocab_size(); ++token) {
          if (mask.allows(token)) allowed.push_back(token);
        }
        ASSERT_FALSE(allowed.empty());
        next = {allowed[random() % allowed.size()]};
      }
      for (Token token : next) constraint->accept(token);
      said.insert(said.end(), next.begin(), next.end());
    }
    said.pop_back();
    const auto content = nlohmann::json::parse(tokenizer->decode(said));
    EXPECT_TRUE(content["n"].is_number());
    EXPECT_TRUE(content.contains("kind"));
  }
}

}  // namespace
}  // namespace corvid::model
