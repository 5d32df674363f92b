// `corvid plugins` as a user runs it, with a home of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

#include "tests/tools/workshop.h"

namespace corvid::runtime {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class PluginsCommand : public testing::Test {
 protected:
  std::string run(const std::string& arguments) {
    const std::string line = "cd '" + work_.path().string() + "' && HOME='" +
                             home_.path().string() + "' XDG_CONFIG_HOME='" + home_.path().string() +
                             "' " + CORVID_BINARY + " plugins " + arguments + " 2>&1";
    FILE* pipe = popen(line.c_str(), "r");
    std::string out;
    std::array<char, 4096> buffer;
    while (std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe))
      out.append(buffer.data(), n);
    status_ = WEXITSTATUS(pclose(pipe));
    return out;
  }

  ScratchFolder home_, work_;
  int status_ = -1;
};

TEST_F(PluginsCommand, AddsAndRemovesTheOnesThatComeWithCorvid) {
  EXPECT_THAT(run("list"), StartsWith("No plugins yet."));
  work_.put("tests/one_test.py", "the project's own");
  work_.put("git/plugin.lua", "return {api = 1, description = 'The project has this.'}");
  for (const char* name : {"git", "tests", "todo"}) {
    EXPECT_THAT(run(std::string("add ") + name), StartsWith(name));
    EXPECT_EQ(status_, 0);
  }
  EXPECT_THAT(run("list"), AllOf(HasSubstr("tools: git_status, git_diff, git_log, git_commit"),
                                 HasSubstr("needs: run"), HasSubstr("tools: todo")));
  EXPECT_EQ(run("remove todo"), "Removed todo.\n");
  EXPECT_THAT(run("remove todo"), HasSubstr("There is no plugin todo."));
  EXPECT_EQ(status_, 2);
}

TEST_F(PluginsCommand, ANewPluginLoadsAsItIs) {
  for (const char* kind : {"", " --shell"}) {
    EXPECT_THAT(run(std::string("new mine") + kind), StartsWith("Made mine/plugin."));
    EXPECT_THAT(run("check mine"), HasSubstr("tools: count_words"));
    EXPECT_EQ(status_, 0);
    std::filesystem::remove_all(work_.path() / "mine");
  }
  EXPECT_THAT(run("new ../x"), HasSubstr("A plugin's name has"));
  EXPECT_EQ(status_, 2);
}

TEST_F(PluginsCommand, ABadPluginIsExplained) {
  work_.put("bad/plugin.lua", "return {api = 1, description = 'd', tols = {}}");
  EXPECT_THAT(run("check bad"), HasSubstr("not loaded: the plugin: unknown key `tols`"));
  EXPECT_EQ(status_, 1);
  EXPECT_THAT(run("add ./bad"), HasSubstr("was not added"));
  EXPECT_EQ(status_, 2);
  home_.put("corvid/plugins/clash/plugin.lua",
            "return {api = 1, description = '\\27[31m', tools = {{name = 'shell', description = "
            "'d', run = print}}}");
  EXPECT_THAT(run("list"),
              AllOf(HasSubstr("there is a tool named shell already"), HasSubstr("\\x1b[31m")));
}

TEST_F(PluginsCommand, APluginOfTheProjectIsTrustedOnceAndAgainWhenItChanges) {
  work_.put(".corvid/plugins/local/plugin.lua", "return {api = 1, description = 'one'}");
  EXPECT_THAT(run("list"), HasSubstr("The project brings a plugin named local"));
  EXPECT_THAT(run("trust local"), StartsWith("local  one\n"));
  EXPECT_THAT(run("list"), StartsWith("local  one\n"));
  work_.put(".corvid/plugins/local/plugin.lua", "return {api = 1, description = 'two'}");
  EXPECT_THAT(run("list"), AllOf(HasSubstr("local has changed since you agreed to it"),
                                 Not(HasSubstr("local  "))));
  EXPECT_THAT(run("trust local"), StartsWith("local  two\n"));
  EXPECT_THAT(run("list"), StartsWith("local  two\n"));
  std::filesystem::remove_all(work_.path() / ".corvid");
  EXPECT_THAT(run("list"), StartsWith("No plugins yet.")) << "it belongs to the project";
}

TEST_F(PluginsCommand, APluginOfTheProjectCanBecomeOnesOwn) {
  work_.put(".corvid/plugins/local/plugin.lua", "return {api = 1, description = 'd'}");
  run("add .corvid/plugins/local");
  EXPECT_THAT(run("list"), AllOf(StartsWith("local  d\n"), Not(HasSubstr("project"))));
}

TEST_F(PluginsCommand, ServersOfTheProjectAreListedAndTrusted) {
  work_.put(".mcp.json", R"({"mcpServers": {"it": {"command": "bird", "args": ["${KEY:-x}"]}}})");
  EXPECT_THAT(run("list"), HasSubstr("it  MCP server of this project\n  bird ${KEY:-x}\n"));
  EXPECT_EQ(run("trust it"), "it is used with the tools that it lists next: bird ${KEY:-x}\n");
  work_.put("more.json", R"({"mcpServers": {"other": {"url": "http://a.example/mcp"}}})");
  EXPECT_EQ(run("trust other --mcp more.json"),
            "other is used with the tools that it lists next: http://a.example/mcp\n");
  EXPECT_THAT(run("trust nothing"), HasSubstr("Neither a plugin of this project nor an MCP"));
  EXPECT_EQ(status_, 2);
}

// The browser gets the address as one argument, at a terminal alone.
TEST_F(PluginsCommand, LogsInToAServerAndOutAgain) {
  const auto log_in = [](const std::string& where) {
    const std::string line = "python3 -B " CORVID_SOURCE_DIR
                             "/tests/runtime/login_command.py " CORVID_BINARY " " +
                             where + " 2>&1";
    FILE* pipe = popen(line.c_str(), "r");
    std::string out;
    std::array<char, 4096> buffer;
    while (std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe)) {
      out.append(buffer.data(), n);
    }
    pclose(pipe);
    return out;
  };
  const auto said = AllOf(HasSubstr("To log in, open this in your browser:\nhttp://127.0.0.1:"),
                          HasSubstr("Logged in to it by http://127.0.0.1:"),
                          HasSubstr("exit code 0\n"), HasSubstr("mode: 600\n"),
                          HasSubstr("Forgot the login to it.\nThere is no login to it.\n"),
                          Not(HasSubstr("token-token")));
  EXPECT_THAT(log_in("terminal"), AllOf(said, HasSubstr("opened: ['http://127.0.0.1:")));
  EXPECT_THAT(log_in("pipe"), AllOf(said, HasSubstr("opened: []")));
  EXPECT_THAT(run("login it"), HasSubstr("No MCP server is named it."));
  EXPECT_EQ(status_, 2);
}

}  // namespace
}  // namespace corvid::runtime
