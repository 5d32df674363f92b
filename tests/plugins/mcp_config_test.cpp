// .mcp.json files: what servers they name, and what of our environment goes into them.
#include "plugins/mcp_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugins/error.h"

namespace corvid::plugins {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

McpServerSpec parse(const std::string& entry) {
  const auto environment = [](const char* name) -> const char* {
    if (std::string_view(name) == "TOKEN") return "hush-hush-hush";
    if (std::string_view(name) == "EMPTY") return "";
    return nullptr;
  };
  return parse_mcp_servers(R"({"mcpServers":{"it":)" + entry + "}}", true, environment).at(0);
}

TEST(McpConfig, ServersAreProcessesOrUrls) {
  const McpServerSpec process =
      parse(R"({"command":"npx","args":["-y","server","."],"env":{"A":"b"}})");
  EXPECT_THAT(process.argv, ElementsAre("npx", "-y", "server", "."));
  EXPECT_EQ(process.environment.at("A"), "b");
  EXPECT_EQ(process.shown, "npx -y server . with A=b");
  for (const char* type : {"", R"("type":"http",)", R"("type":"streamable-http",)"}) {
    const McpServerSpec remote =
        parse(std::string("{") + type + R"("url":"https://a.example/mcp"})");
    EXPECT_EQ(remote.problem, "");
    EXPECT_EQ(remote.url, "https://a.example/mcp");
    EXPECT_EQ(remote.shown, "https://a.example/mcp");
  }
}

TEST(McpConfig, VariablesComeFromTheEnvironmentAndStaySecret) {
  const McpServerSpec spec = parse(
      R"({"url":"https://${HOST:-a.example}/${EMPTY:-mcp}",
          "headers":{"Authorization":"Bearer ${TOKEN}","X-Kind":"${EMPTY}"}})");
  EXPECT_EQ(spec.problem, "");
  EXPECT_EQ(spec.url, "https://a.example/mcp");
  EXPECT_THAT(spec.headers, ElementsAre("Authorization: Bearer hush-hush-hush", "X-Kind;"));
  EXPECT_THAT(spec.variables, ElementsAre("TOKEN", "EMPTY"));
  EXPECT_EQ(spec.shown, "https://${HOST:-a.example}/${EMPTY:-mcp}");
  std::string echo = "you sent Bearer hush-hush-hush";
  for (const Secret& secret : spec.secrets) echo = secret.redacted(std::move(echo));
  EXPECT_EQ(echo.find("hush"), echo.npos);
}

TEST(McpConfig, CommandsAndTheirEnvironmentTakeVariablesToo) {
  const McpServerSpec spec =
      parse(R"({"command":"run","args":["--key=${TOKEN}","$TOKEN","${"],"env":{"K":"${TOKEN}"}})");
  EXPECT_THAT(spec.argv, ElementsAre("run", "--key=hush-hush-hush", "$TOKEN", "${"));
  EXPECT_EQ(spec.environment.at("K"), "hush-hush-hush");
  EXPECT_EQ(spec.shown, "run --key=${TOKEN} $TOKEN ${ with K=${TOKEN}");
}

TEST(McpConfig, AClientThatTheServerKnowsHasItsOwnPlace) {
  const McpServerSpec spec = parse(
      R"({"url":"https://a.example","oauth":{"clientId":"us","clientSecret":"${TOKEN}",
          "issuer":"https://i.example","scopes":["a","b c"]}})");
  EXPECT_EQ(spec.problem, "");
  EXPECT_EQ(spec.oauth.client_id + " at " + spec.oauth.issuer, "us at https://i.example");
  EXPECT_EQ(spec.oauth.client_secret.reveal(), "hush-hush-hush");
  EXPECT_THAT(spec.oauth.scopes, ElementsAre("a", "b", "c"));
  EXPECT_EQ(spec.secrets.back().redacted("hush-hush-hush"), "[key]");
}

TEST(McpConfig, AVariableThatIsNotSetIsNamed) {
  EXPECT_EQ(parse(R"({"command":"run","args":["${NOWHERE}"]})").problem,
            "the environment variable NOWHERE is not set");
  EXPECT_EQ(parse(R"({"command":"${a b}"})").problem, "`${a b}` names no variable");
}

TEST(McpConfig, EntriesThatCannotBeUsedSayWhy) {
  const std::pair<const char*, const char*> cases[] = {
      {R"(7)", "must be an object"},
      {R"({})", "`command` is missing"},
      {R"({"type":"http"})", "`url` is missing"},
      {R"({"type":"sse","url":"http://a"})", "of 2024-11-05"},
      {R"({"type":"carrier pigeon","url":"http://a"})", "neither stdio nor http"},
      {R"({"url":"file:///etc/passwd"})", "must start with http"},
      {R"({"url":"http://user:key@a"})", "no key before the host"},
      {R"({"url":"http://"})", "must start with http"},
      {R"({"url":"http://a b"})", "must start with http"},
      {R"({"url":"http://a","oauth":7})", "`oauth` must be an object"},
      {R"({"url":"http://a","oauth":{"clientSecret":"b"}})", "nothing without `clientId`"},
      {R"({"url":"http://a","oauth":{"scopes":"b"}})", "`oauth.scopes` must be a list"},
      {R"({"url":"http://a","headers":[]})", "`headers` must be an object"},
      {R"({"url":"http://a","headers":{"A b":"c"}})", "a name that cannot be used"},
      {R"({"url":"http://a","headers":{"Host":"b"}})", "a name that cannot be used"},
      {R"({"url":"http://a","headers":{"mcp-session-id":"b"}})", "a name that cannot be used"},
      {R"({"url":"http://a","headers":{"A":"b\r\nC: d"}})", "a value that no header can have"},
      {R"({"command":"a","env":{"B=":"c"}})", "a name that is none"},
  };
  for (const auto& [entry, why] : cases) EXPECT_THAT(parse(entry).problem, HasSubstr(why)) << entry;
}

TEST(McpConfig, SaysWhatIsWrongWithTheWhole) {
  EXPECT_TRUE(parse_mcp_servers("{}", true).empty());
  for (const char* text : {"", "[]", "{", R"({"mcpServers": []})"}) {
    EXPECT_THROW(parse_mcp_servers(text, true), PluginError) << text;
  }
}

}  // namespace
}  // namespace corvid::plugins
