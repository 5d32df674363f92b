// What both kinds of plugins declare, read from JSON and checked: a name that is wrong, a schema
// that cannot be used or an unknown key is a PluginError that says where. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "model/chat.h"
#include "plugins/plugin.h"

namespace corvid::plugins {

// a-z, 0-9, - and _, at most 32 characters, not a device name of some system.
bool is_plugin_name(std::string_view name);
bool is_tool_name(std::string_view name);  // a-z, A-Z, 0-9, - and _, at most 64 characters

struct ToolEntry {
  model::ToolSpec spec;
  bool read_only = false;
};

// The text of a plugin.json.
nlohmann::ordered_json parse_manifest(std::string_view text);

// Fills `info` from the manifest, and gives the entries of its tools in their order.
std::vector<ToolEntry> read_manifest(const nlohmann::ordered_json& manifest, PluginInfo& info,
                                     const std::vector<std::string_view>& own_tool_keys,
                                     const std::vector<std::string_view>& own_keys);

}  // namespace corvid::plugins
