// Headers of MCP over HTTP: values that no header can have, schemas that ask for what may not be.
#include "plugins/mcp_headers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;
using testing::ElementsAre;

// The table of the specification, section "Value Encoding".
TEST(McpHeaders, ValuesThatAreNoHeaderTextAreEncoded) {
  EXPECT_EQ(header_line("A", "us-west1"), "A: us-west1");
  EXPECT_EQ(header_line("A", "Hello, 世界"), "A: =?base64?SGVsbG8sIOS4lueVjA==?=");
  EXPECT_EQ(header_line("A", " padded "), "A: =?base64?IHBhZGRlZCA=?=");
  EXPECT_EQ(header_line("A", "line1\nline2"), "A: =?base64?bGluZTEKbGluZTI=?=");
  EXPECT_EQ(header_line("A", "=?base64?literal?="), "A: =?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=");
  EXPECT_EQ(header_line("A", "in the middle"), "A: in the middle");
  EXPECT_EQ(header_line("A", ""), "A;");
}

TEST(McpHeaders, ArgumentsAreMirroredFromWhereTheyStand) {
  const auto schema = ordered_json::parse(R"({"type":"object","properties":{
      "region":{"type":"string","x-mcp-header":"Region"},
      "n":{"type":"integer","x-mcp-header":"N"},
      "deep":{"type":"object","properties":{"on":{"type":"boolean","x-mcp-header":"On"}}},
      "x-mcp-header":{"type":"string"},
      "free":{"type":"string","default":{"x-mcp-header":"not an annotation"}}}})");
  const auto mirrors = read_mirrors(schema);
  ASSERT_TRUE(mirrors);
  const auto headers = [&](const char* arguments) {
    return mirror(*mirrors, ordered_json::parse(arguments));
  };
  EXPECT_THAT(headers(R"({"region":"eu","n":-7,"deep":{"on":false},"free":"x"})"),
              ElementsAre("Mcp-Param-Region: eu", "Mcp-Param-N: -7", "Mcp-Param-On: false"));
  EXPECT_THAT(headers(R"({"region":null,"deep":7,"n":9007199254740992})"), ElementsAre());
  EXPECT_THAT(headers(R"([])"), ElementsAre());
}

TEST(McpHeaders, AnAnnotationThatMayNotBeMakesTheSchemaUnusable) {
  const auto good = [](const std::string& text) {
    return read_mirrors(ordered_json::parse(text)).has_value();
  };
  const auto property = [&](const std::string& body) {
    return good(R"({"properties":{"a":)" + body + "}}");
  };
  EXPECT_TRUE(property(R"({"type":"string","x-mcp-header":"A"})"));
  for (const char* name : {"", "a b", "a:b", "ä", "a\\u0001", "a\\r\\nB: c"}) {
    EXPECT_FALSE(property(R"({"type":"string","x-mcp-header":")" + std::string(name) + "\"}"))
        << name;
  }
  for (const char* type : {"number", "object", "array", "null"}) {
    EXPECT_FALSE(property(R"({"x-mcp-header":"A","type":")" + std::string(type) + "\"}")) << type;
  }
  EXPECT_FALSE(property(R"({"type":"string","x-mcp-header":7})"));
  EXPECT_FALSE(property(R"({"type":["string","null"],"x-mcp-header":"A"})"));
  EXPECT_FALSE(property(R"({"items":{"type":"string","x-mcp-header":"A"}})"));
  EXPECT_FALSE(property(R"({"anyOf":[{"type":"string","x-mcp-header":"A"}]})"));
  EXPECT_FALSE(
      good(R"({"$defs":{"d":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}})"));
  EXPECT_FALSE(good(R"({"type":"string","x-mcp-header":"A"})")) << "the root is no argument";
  EXPECT_FALSE(good(R"({"properties":{"a":{"type":"string","x-mcp-header":"Same"},
                                      "b":{"type":"string","x-mcp-header":"sAME"}}})"));
}

TEST(McpHeaders, AddressesOfThisMachineAreToldFromOthers) {
  for (const char* url : {"http://localhost", "http://LOCALHOST:8080/mcp", "http://127.0.0.1:1/",
                          "http://[::1]:99/mcp"}) {
    EXPECT_TRUE(is_loopback(url)) << url;
  }
  for (const char* url :
       {"http://localhost.evil.example/", "https://127.0.0.1.evil.example/",
        "http://evil.example/localhost", "http://10.0.0.1", "http://127.evil.example/",
        "http://[::1].evil.example/", "http://localhost:pass@evil.example/"}) {
    EXPECT_FALSE(is_loopback(url)) << url;
  }
}

}  // namespace
}  // namespace corvid::plugins
