#include "tools/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/error.h"

namespace corvid::tools {
namespace {

using testing::HasSubstr;

constexpr const char* kSchema = R"({"type":"object","properties":{
  "path":{"type":"string"},"offset":{"type":"integer","minimum":1},
  "mode":{"enum":["fast","slow"]},"edits":{"type":"array","items":{"type":"object",
    "properties":{"old":{"type":"string"}},"required":["old"]}}},
  "required":["path"],"additionalProperties":false})";

std::string problem(std::string_view arguments) {
  return ArgumentSchema(kSchema).problem(arguments).value_or("");
}

TEST(Arguments, FittingOnesHaveNoProblem) {
  EXPECT_EQ(problem(R"({"path":"a","offset":3,"mode":"fast","edits":[{"old":"x"}]})"), "");
}

TEST(Arguments, AllThatIsWrongAtTheTopIsNamedAtOnce) {
  const std::string text = problem(R"({"offset":"3","file":"a"})");
  EXPECT_THAT(text, HasSubstr("- `path` is missing"));
  EXPECT_THAT(text, HasSubstr("- `offset` must be of type integer, not string"));
  EXPECT_THAT(text, HasSubstr("- `file` is unknown"));
  EXPECT_THAT(text, HasSubstr("path (string, required), offset (integer), mode (\"fast\" | "));
}

TEST(Arguments, WhatIsWrongDeeperInIsNamedWithItsPlace) {
  EXPECT_THAT(problem(R"({"path":"a","offset":0})"), HasSubstr("offset"));
  EXPECT_THAT(problem(R"({"path":"a","edits":[{"old":"x"},{}]})"), HasSubstr("[1]"));
  EXPECT_THAT(problem(R"({"path":"a","mode":"medium"})"), HasSubstr("\"fast\" | \"slow\""));
}

TEST(Arguments, TextThatIsNoObjectIsRefused) {
  EXPECT_THAT(problem(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(problem("{\"path\":\"a\"} x"), HasSubstr("not valid JSON"));
  EXPECT_THAT(problem("[1]"), HasSubstr("not a JSON object"));
}

TEST(Arguments, DeepAndHugeTextsAreRefusedUnparsed) {
  EXPECT_THAT(problem(std::string(100'000, '[')), HasSubstr("too deeply"));
  EXPECT_THAT(problem(std::string(kMaxArgumentBytes + 1, ' ')), HasSubstr("larger"));
  EXPECT_EQ(json_depth(R"({"a":["[[[{{{\"[["]})"), 2);
}

TEST(Arguments, UnusableSchemasAreNamed) {
  EXPECT_THROW(ArgumentSchema("{"), ToolError);
  EXPECT_THROW(ArgumentSchema("3"), ToolError);
  EXPECT_THROW(ArgumentSchema(R"({"type":3})"), ToolError);
  EXPECT_THROW(ArgumentSchema(R"({"$ref":"http://example.com/a.json"})"), ToolError);
  EXPECT_THROW(ArgumentSchema(R"({"$ref":"file:///etc/passwd"})"), ToolError);
  EXPECT_THROW(ArgumentSchema(R"({"$ref":"#/a","a":{"$ref":"#/a"}})"), ToolError);
  EXPECT_THROW(ArgumentSchema(R"({"properties":{"a":{"$ref":"#/definitions/b"}}})"), ToolError);
  EXPECT_THROW(ArgumentSchema(std::string(1000, '[') + std::string(1000, ']')), ToolError);
}

TEST(Arguments, ARecursiveSchemaChecksATree) {
  const ArgumentSchema tree(R"({"type":"object","properties":{"root":{"$ref":"#/$defs/node"}},
    "$defs":{"node":{"type":"object","properties":{
      "children":{"type":"array","items":{"$ref":"#/$defs/node"}}}}}})");
  EXPECT_FALSE(tree.problem(R"({"root":{"children":[{"children":[]}]}})").has_value());
  EXPECT_TRUE(tree.problem(R"({"root":{"children":[{"children":3}]}})").has_value());
}

TEST(Arguments, AStrangersRegularExpressionIsNeverRun) {
  const ArgumentSchema bomb(
      R"({"type":"object","properties":{"a":{"type":"string","pattern":"(a+)+$"}},
          "patternProperties":{"(x+)+$":{"type":"string"}},"additionalProperties":false})");
  EXPECT_FALSE(bomb.problem("{\"a\":\"" + std::string(50'000, 'a') + "!\"}").has_value());
}

TEST(Arguments, WhatValuesSayIsNoSchema) {
  const ArgumentSchema schema(R"({"type":"object","properties":{
    "a":{"const":{"pattern":"x","format":"y"}},
    "b":{"enum":[{"patternProperties":{}},{"$ref":"elsewhere"}]},
    "enum":{"type":"string","pattern":"(a+)+$"},"pattern":{"type":"integer"}}})");
  EXPECT_FALSE(schema.problem(R"({"a":{"pattern":"x","format":"y"}})"));
  EXPECT_TRUE(schema.problem(R"({"a":{}})"));
  EXPECT_TRUE(schema.problem(R"({"a":{"pattern":"z","format":"y"}})"));
  EXPECT_FALSE(schema.problem(R"({"b":{"patternProperties":{}}})"));
  EXPECT_FALSE(schema.problem(R"({"b":{"$ref":"elsewhere"}})"));
  EXPECT_TRUE(schema.problem(R"({"b":{}})"));
  EXPECT_TRUE(schema.problem(R"({"pattern":"x"})"));
  EXPECT_FALSE(schema.problem("{\"enum\":\"" + std::string(50'000, 'a') + "!\"}"));
}

// Patterns are left in values: none of them becomes a schema.
TEST(Arguments, AReferenceToAValueIsRefused) {
  const std::string bomb = R"({"type":"string","pattern":"(a+)+$"})";
  EXPECT_THROW(ArgumentSchema(R"({"const":)" + bomb + R"(,"$ref":"#/const"})"), ToolError);
  EXPECT_THROW(ArgumentSchema(R"({"properties":{"x":{"$ref":"#/properties/properties/const"},
                                  "properties":{"const":)" +
                              bomb + "}}}"),
               ToolError);
  EXPECT_THROW(ArgumentSchema(R"({"enum":[)" + bomb + R"(],"not":{"$ref":"#/enum/0"}})"),
               ToolError);
  EXPECT_THROW(ArgumentSchema(R"({"%63onst":{},"const":)" + bomb + R"(,"$ref":"#/%63onst"})"),
               ToolError);
  const ArgumentSchema named(R"({"properties":{"const":)" + bomb +
                             R"(,"x":{"$ref":"#/properties/const"}}})");
  EXPECT_FALSE(named.problem("{\"x\":\"" + std::string(50'000, 'a') + "!\"}"));
  EXPECT_TRUE(named.problem(R"({"x":3})"));
}

}  // namespace
}  // namespace corvid::tools
