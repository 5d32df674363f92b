#include "plugins/lua_plugin.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "plugins/error.h"
#include "plugins/lua_machine.h"
#include "plugins/manifest.h"
#include "tools/text.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;
using tools::ToolCall;
using tools::ToolContext;
using tools::ToolResult;

constexpr std::string_view kHookNames[] = {"before_call", "after_call", "on_prompt", "on_stop"};

int function_number(const ordered_json& object, const std::string& key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_object() || !found->contains("$function")) {
    throw PluginError(where + ": `" + key + "` must be a function");
  }
  return (*found)["$function"].get<int>();
}

class LuaPluginTool : public tools::Tool {
 public:
  LuaPluginTool(ToolEntry entry, int function, std::shared_ptr<LuaMachine> machine)
      : entry_(std::move(entry)), function_(function), machine_(std::move(machine)) {}
  const tools::ToolSpec& spec() const override { return entry_.spec; }
  bool read_only() const override { return entry_.read_only; }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override;

 private:
  ToolEntry entry_;
  int function_;
  std::shared_ptr<LuaMachine> machine_;
};

// What the function printed, then what it returned: strings as they are, the rest as JSON.
asio::awaitable<ToolResult> LuaPluginTool::call(ToolCall call, ToolContext& context) {
  ordered_json arguments = ordered_json::array();
  arguments.push_back(ordered_json::parse(call.arguments));
  const sandbox::LuaResult result =
      co_await machine_->call(function_, std::move(arguments), context);
  std::string text = result.printed;
  for (const ordered_json& value : ordered_json::parse(result.values)) {
    if (!value.is_null()) text += value.is_string() ? value.get<std::string>() : value.dump();
  }
  if (!result.error.empty()) text += "Error: " + result.error;
  co_return ToolResult{call.id, std::move(text), !result.error.empty()};
}

// Read outside of the model's sight: a hook that fails is reported, and the call goes on.
asio::awaitable<std::string> run_hook(std::shared_ptr<LuaMachine> machine, int function,
                                      std::string json, ToolContext& context) {
  ordered_json arguments = ordered_json::array();
  arguments.push_back(ordered_json::parse(json));
  const sandbox::LuaResult result = co_await machine->call(function, std::move(arguments), context);
  if (!result.error.empty()) throw PluginError(result.error);
  const ordered_json values = ordered_json::parse(result.values);
  if (values.empty() || values[0].is_null()) co_return std::string();
  if (!values[0].is_object()) throw PluginError("the hook must return a table or nothing");
  co_return values[0].dump();
}

Hook make_hook(std::map<std::string, int> functions, std::shared_ptr<LuaMachine> machine) {
  return [functions = std::move(functions), machine = std::move(machine)](
             std::string when, std::string json,
             ToolContext& context) -> asio::awaitable<std::string> {
    const auto found = functions.find(when);
    if (found == functions.end()) co_return std::string();
    co_return co_await run_hook(machine, found->second, std::move(json), context);
  };
}

std::map<std::string, int> read_hooks(const ordered_json& manifest) {
  std::map<std::string, int> functions;
  if (!manifest.contains("hooks")) return functions;
  if (!manifest["hooks"].is_object()) throw PluginError("`hooks` must be a table");
  for (const auto& [name, value] : manifest["hooks"].items()) {
    if (std::find(std::begin(kHookNames), std::end(kHookNames), name) == std::end(kHookNames)) {
      throw PluginError("hooks: unknown hook `" + name +
                        "`; there are before_call, after_call, on_prompt, on_stop");
    }
    functions[name] = function_number(manifest["hooks"], name, "hooks");
  }
  return functions;
}

void read_needs(const ordered_json& manifest, PluginInfo& info, LuaMachine& machine) {
  if (!manifest.contains("needs")) return;
  for (const ordered_json& need : manifest["needs"]) {
    if (need != "run") throw PluginError("`needs` may have \"run\" only");
    info.needs.push_back("run");
    machine.allow_run();
  }
}

}  // namespace

Plugin load_lua_plugin(PluginInfo info, std::string_view source, const PluginHost& host) {
  auto machine = std::make_shared<LuaMachine>(info, host);
  const ordered_json manifest = machine->load(source);
  Plugin plugin;
  auto entries = read_manifest(manifest, info, {"run"}, {"needs", "hooks"});
  read_needs(manifest, info, *machine);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const int function =
        function_number(manifest["tools"][i], "run", "tool " + entries[i].spec.name);
    plugin.tools.push_back(
        std::make_unique<LuaPluginTool>(std::move(entries[i]), function, machine));
  }
  std::map<std::string, int> hooks = read_hooks(manifest);
  for (const auto& [name, function] : hooks) info.hooks.push_back(name);
  if (!hooks.empty()) plugin.hook = make_hook(std::move(hooks), machine);
  plugin.info = std::move(info);
  return plugin;
}

}  // namespace corvid::plugins
