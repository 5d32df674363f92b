// Plugins in Lua: plugin.lua returns a table with api = 1, its tools (name, description,
// parameters, run = function(arguments) ... return text end) and hooks (before_call, after_call,
// on_prompt, on_stop).
//
// Each plugin has a machine of its own (sandbox/lua_vm) and beside the language: read, write, list,
// find, search, json, log(text), state.get(key), state.set(key, value), and run{command...} when it
// declares needs = {"run"}. One call at a time runs in a machine, the others wait. A plugin.lua
// that fails is a PluginError.
#pragma once

#include "plugins/plugin.h"

namespace corvid::plugins {

Plugin load_lua_plugin(PluginInfo info, std::string_view source, const PluginHost& host);

}  // namespace corvid::plugins
