#include "tests/plugins/plugin_bench.h"

namespace corvid::plugins {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr const char* kGreeter = R"(
  local greeted = 0
  return {
    api = 1,
    description = "Greets.",
    needs = {"run"},
    tools = {
      {name = "greet", description = "Greets someone.",
       parameters = {type = "object", properties = {name = {type = "string"}},
                     required = {"name"}, additionalProperties = false},
       run = function(arguments)
         greeted = greeted + 1
         print("counting")
         return "Hello " .. arguments.name .. ", number " .. greeted
       end},
      {name = "shout", description = "Through a process.",
       run = function()
         local result = run {argv = {"tr", "a-z", "A-Z"}, input = "hello"}
         return result.output .. result.exit_code
       end},
      {name = "fail", description = "Fails.", run = function() error("no luck", 0) end},
      {name = "spin", description = "Never ends.", run = function() while true do end end},
      {name = "keep", description = "Keeps.", run = function()
         state.set("n", (state.get("n") or 0) + 1)
         write("note.txt", "n is " .. state.get("n"))
         return read("note.txt")
       end},
    },
  }
)";

TEST_F(PluginTest, ALuaPluginBringsItsTools) {
  const PluginInfo info = load_lua(kGreeter);
  EXPECT_EQ(info.problem, "");
  EXPECT_EQ(info.description, "Greets.");
  EXPECT_THAT(info.tools, ElementsAre("greet", "shout", "fail", "spin", "keep"));
  EXPECT_EQ(call("greet", {{"name", "Ada"}}).text, "counting\nHello Ada, number 1");
  EXPECT_EQ(call("greet", {{"name", "Bob"}}).text, "counting\nHello Bob, number 2");
  EXPECT_THAT(call("greet", {{"who", "x"}}).text, HasSubstr("`name` is missing"));
  EXPECT_EQ(call("fail", ordered_json::object()).text, "Error: no luck");
}

TEST_F(PluginTest, ALuaPluginRunsProcessesInTheSandboxAndKeepsState) {
  load_lua(kGreeter);
  EXPECT_EQ(call("shout", ordered_json::object()).text, "HELLO0");
  EXPECT_EQ(call("keep", ordered_json::object()).text, "n is 1");
  EXPECT_EQ(call("keep", ordered_json::object()).text, "n is 2");
  EXPECT_EQ(workspace_.get("note.txt"), "n is 2");
}

TEST_F(PluginTest, ALuaPluginRunsNothingUnlessItSaysThatItWill) {
  const PluginInfo info = load_lua(R"(
    return {api = 1, description = "d", tools = {{name = "quiet", description = "d",
      run = function() return run {command = "touch gotcha"} end}}})");
  EXPECT_THAT(info.needs, SizeIs(0));
  EXPECT_THAT(call("quiet", ordered_json::object()).text,
              HasSubstr("the plugin does not declare needs = {\"run\"}"));
  EXPECT_FALSE(std::filesystem::exists(workspace_.path() / "gotcha"));
}

TEST_F(PluginTest, ALuaPluginThatNeverEndsIsStoppedByAnInterrupt) {
  load_lua(kGreeter);
  asio::cancellation_signal signal;
  std::string text;
  asio::co_spawn(io_, toolbox_->run({{"1", "spin", "{}"}}, context_, {}),
                 asio::bind_cancellation_slot(
                     signal.slot(), [&](std::exception_ptr, std::vector<tools::ToolResult> got) {
                       text = got.at(0).text;
                     }));
  asio::steady_timer timer(io_, std::chrono::milliseconds(50));
  timer.async_wait([&](auto) { signal.emit(asio::cancellation_type::terminal); });
  io_.run();
  EXPECT_THAT(text, HasSubstr("interrupted"));
}

TEST_F(PluginTest, CallsOfOnePluginTakeTurnsInItsMachine) {
  folder_.put("mine/plugin.lua", R"(
    local inside = 0
    return {api = 1, description = "d", needs = {"run"}, tools = {{name = "look",
      description = "d", read_only = true, run = function()
        inside = inside + 1
        run {argv = {"sleep", "0.05"}}
        inside = inside - 1
        return tostring(inside)
      end}}})");
  load(folder_.path());
  const std::vector<tools::ToolCall> calls(4, {"x", "look", "{}"});
  const auto results = tools::finish(io_, toolbox_->run(calls, context_, {}));
  for (const auto& result : results) EXPECT_EQ(result.text, "0");
}

TEST_F(PluginTest, HooksSeeEveryCallAndMayDenyOrChangeIt) {
  load_lua(R"(
    return {api = 1, description = "d",
      tools = {{name = "say", description = "d", run = function(a) return a.text end}},
      hooks = {
        before_call = function(call)
          if call.arguments.text == "secret" then return {deny = "that is private"} end
          if call.arguments.text == "old" then return {arguments = {text = "new"}} end
        end,
        after_call = function(call) return {result = call.result .. "!"} end,
      }})");
  EXPECT_EQ(call("say", {{"text", "hi"}}).text, "hi!");
  EXPECT_EQ(call("say", {{"text", "old"}}).text, "new!");
  EXPECT_EQ(call("say", {{"text", "secret"}}).text, "Error: denied: that is private");
}

TEST_F(PluginTest, HooksSeeThePromptAndTheEndOfTheTurn) {
  load_lua(R"(
    return {api = 1, description = "d", hooks = {
      on_prompt = function(prompt)
        if prompt.text == "no" then return {deny = "not today"} end
        return {text = prompt.text .. ", please"}
      end,
      on_stop = function(turn)
        if turn.steps < 2 then return {again = "go on after " .. turn.answer} end
      end}})");
  const auto hook = [&](const char* when, const ordered_json& what) {
    return tools::finish(io_, plugins_->hook(when, what.dump(), context_));
  };
  EXPECT_EQ(hook("on_prompt", {{"text", "do it"}}), R"({"text":"do it, please"})");
  EXPECT_EQ(hook("on_prompt", {{"text", "no"}}), R"({"deny":"not today"})");
  EXPECT_EQ(hook("on_stop", {{"answer", "one"}, {"steps", 1}}), R"({"again":"go on after one"})");
  EXPECT_EQ(hook("on_stop", {{"answer", "two"}, {"steps", 2}}), "");
}

TEST_F(PluginTest, AHookThatFailsDeniesTheCall) {
  load_lua(R"(
    return {api = 1, description = "d",
      tools = {{name = "say", description = "d", run = function(a) return "said" end}},
      hooks = {before_call = function() error("broken", 0) end}})");
  EXPECT_EQ(call("say", ordered_json::object()).text, "Error: denied: plugin mine: broken");
}

TEST_F(PluginTest, AShellPluginGetsItsArgumentsAsDataOnly) {
  folder_.put("sh/plugin.json", R"({"api": 1, "description": "d", "tools": [
    {"name": "show", "description": "d", "command": "printf '%s|' \"$ARG_text\" \"$ARG_n\"; cat",
     "parameters": {"type": "object", "properties": {"text": {"type": "string"},
                    "n": {"type": "integer"}}}},
    {"name": "program", "description": "d", "program": "bin/run"},
    {"name": "fail", "description": "d", "command": "echo oops; exit 3"}]})");
  folder_.put("sh/bin/run", "#!/bin/sh\necho \"from $PLUGIN_FOLDER in $(pwd)\"\n");
  std::filesystem::permissions(folder_.path() / "sh/bin/run", std::filesystem::perms::owner_all);
  EXPECT_EQ(load(folder_.path()).problem, "");
  const std::string evil = "$(touch gotcha) `touch gotcha`; touch gotcha #'\"";
  const ordered_json arguments = {{"text", evil}, {"n", 3}};
  EXPECT_EQ(call("show", arguments).text, evil + "|3|" + arguments.dump());
  EXPECT_FALSE(std::filesystem::exists(workspace_.path() / "gotcha"));
  EXPECT_EQ(call("program", ordered_json::object()).text,
            "from " + (folder_.path() / "sh").string() + " in " + workspace_.path().string());
  EXPECT_EQ(call("fail", ordered_json::object()).text, "oops\n[exit 3]");
}

TEST_F(PluginTest, APluginThatFailsIsNamedWithTheReasonAndTheRestWork) {
  const std::pair<const char*, const char*> bad[] = {
      {"b01", "syntax error here"},
      {"b02", "return 3"},
      {"b03", "return {description = 'd'}"},
      {"b04", "return {api = 2, description = 'd'}"},
      {"b05", "return {api = 1, description = 'd', tols = {}}"},
      {"b06", "return {api = 1, description = 'd', tools = {{name = 'a b', description = 'd'}}}"},
      {"b07", "return {api = 1, description = 'd', tools = {{name = 'ab', description = 'd'}}}"},
      {"b08",
       "return {api = 1, description = 'd', tools = {{name = 'ab', description = 'd', "
       "run = print, parameters = {type = 3}}}}"},
      {"b09", "return {api = 1, description = 'd', hooks = {on_fire = print}}"},
      {"b10", "return {api = 1, description = 'd', needs = {'everything'}}"},
      {"b11", "read('x')"},
      {"b12", "os.execute('true')"},
      {"Bad", "return {api = 1, description = 'd'}"},
      {"con", "return {api = 1, description = 'd'}"},
  };
  for (const auto& [name, source] : bad) {
    folder_.put(std::string(name) + "/plugin.lua", source);
  }
  folder_.put("b13/plugin.json", "{");
  folder_.put("b14/plugin.json", R"({"api":1,"description":"d","tools":[{"name":"x",
    "description":"d","program":"../../bin/sh"}]})");
  folder_.put("b15/README", "no plugin");
  folder_.put("b18/plugin.json", R"({"api":1,"description":"d","tools":[{"name":"x",
    "description":"d","command":"true","parameters":{"enum":)" +
                                     std::string(300'000, '[') + std::string(300'000, ']') +
                                     "}}]}");
  std::filesystem::create_directory_symlink("/etc", folder_.path() / "b16");
  folder_.put("b17/x", "");
  std::filesystem::create_symlink("/etc/passwd", folder_.path() / "b17/plugin.lua");
  folder_.put("zz-good/plugin.lua",
              "return {api = 1, description = 'd', tools = {{name = 'good', "
              "description = 'd', run = function() return 'fine' end}}}");
  folder_.put("zzz-clash/plugin.lua",
              "return {api = 1, description = 'd', tools = {{name = 'good',"
              " description = 'd', run = print}}}");
  load(folder_.path());
  int failed = 0;
  for (const PluginInfo& info : plugins_->infos()) {
    if (info.name == "zz-good") {
      EXPECT_EQ(info.problem, "");
    } else {
      EXPECT_NE(info.problem, "") << info.name;
      EXPECT_THAT(info.tools, SizeIs(0)) << info.name;
      ++failed;
    }
  }
  EXPECT_EQ(failed, static_cast<int>(std::size(bad)) + 7);
  EXPECT_EQ(call("good", ordered_json::object()).text, "fine");
}

// Names and links that lead elsewhere: whoever copies and opens what is named so writes beside the
// folder of plugins, and reads what was to stay where it is.
TEST_F(PluginTest, NoNameOfAPluginLeadsOutOfItsFolder) {
  namespace fs = std::filesystem;
  const fs::path user = folder_.path() / "home/plugins";
  fs::create_directories(user);
  folder_.put("secret", "return {api = 1, description = 'hush'}");
  workspace_.put("p/mine/plugin.lua", "return {api = 1, description = 'one'}");
  workspace_.put("p/link/other", "");
  fs::create_symlink(folder_.path() / "secret", workspace_.path() / "p/link/plugin.lua");
  fs::copy(workspace_.path() / "p/mine", user / "../escaped");
  EXPECT_TRUE(fs::exists(folder_.path() / "home/escaped/plugin.lua")) << "no harm shown";
  EXPECT_THAT(workspace_.get("p/link/plugin.lua"), HasSubstr("hush")) << "no harm shown";
  fs::remove_all(folder_.path() / "home/escaped");

  for (const char* name : {"..", "../p/..", "link", "a b", "A", "con", "a\n"}) {
    const fs::path from = workspace_.path() / "p" / name;
    if (!fs::exists(from)) fs::copy(workspace_.path() / "p/mine", from);
    EXPECT_THROW(add_plugin(from, user), std::runtime_error) << name;
  }
  EXPECT_TRUE(fs::is_empty(user));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path() / "home"), {}), 1);
}

TEST_F(PluginTest, AddingCopiesAPluginAndLaterChangesAreReported) {
  const std::filesystem::path user = folder_.path() / "user", project = workspace_.path() / "p";
  workspace_.put("p/mine/plugin.lua", "return {api = 1, description = 'one'}");
  const auto state = [&] { return project_plugins(project, {user}).at(0).state; };
  EXPECT_EQ(state(), ProjectPlugin::State::fresh);
  EXPECT_EQ(add_plugin(project / "mine/", user).folder, user / "mine");
  EXPECT_EQ(state(), ProjectPlugin::State::agreed);
  workspace_.put("p/mine/plugin.lua", "return {api = 1, description = 'two'}");
  EXPECT_EQ(state(), ProjectPlugin::State::changed);
  EXPECT_EQ(folder_.get("user/mine/plugin.lua"), "return {api = 1, description = 'one'}");
  workspace_.put("p/mine/plugin.lua", "broken");
  EXPECT_THROW(add_plugin(project / "mine", user), std::runtime_error);
  EXPECT_EQ(folder_.get("user/mine/plugin.lua"), "return {api = 1, description = 'one'}");
  std::filesystem::create_symlink("/etc/passwd", project / "mine/link");
  EXPECT_THROW(add_plugin(project / "mine", user), std::runtime_error);
  EXPECT_EQ(state(), ProjectPlugin::State::unusable);
}

}  // namespace
}  // namespace corvid::plugins
