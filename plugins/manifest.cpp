#include "plugins/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "plugins/error.h"
#include "tools/arguments.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxTools = 32;
constexpr std::size_t kMaxDescriptionBytes = 4096;

bool is_word(std::string_view name, std::size_t most, bool upper) {
  return !name.empty() && name.size() <= most && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (upper && c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
  });
}

void refuse_unknown(const ordered_json& object, std::vector<std::string_view> known,
                    const std::vector<std::string_view>& own, const std::string& where) {
  known.insert(known.end(), own.begin(), own.end());
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    std::string names;
    for (std::string_view name : known) names += (names.empty() ? "" : ", ") + std::string(name);
    throw PluginError(where + ": unknown key `" + key + "`; there are " + names);
  }
}

std::string text_of(const ordered_json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) throw PluginError(where + ": `" + key + "` is missing");
  if (!found->is_string()) throw PluginError(where + ": `" + key + "` must be a string");
  std::string text = found->get<std::string>();
  if (text.empty() || text.size() > kMaxDescriptionBytes) {
    throw PluginError(where + ": `" + key + "` must have 1 to " +
                      std::to_string(kMaxDescriptionBytes) + " bytes");
  }
  return text;
}

ToolEntry read_tool(const ordered_json& tool, const std::string& where,
                    const std::vector<std::string_view>& own_keys) {
  if (!tool.is_object()) throw PluginError(where + " must be a table");
  refuse_unknown(tool, {"name", "description", "parameters", "read_only"}, own_keys, where);
  ToolEntry entry;
  entry.spec.name = text_of(tool, "name", where);
  if (!is_tool_name(entry.spec.name)) {
    throw PluginError(where + ": `name` may have letters, digits, - and _, at most 64");
  }
  const std::string place = where + " (" + entry.spec.name + ")";
  entry.spec.description = text_of(tool, "description", place);
  ordered_json parameters = {{"type", "object"}, {"properties", ordered_json::object()}};
  if (tool.contains("parameters")) parameters = tool["parameters"];
  entry.spec.parameters = parameters.dump();
  try {
    tools::ArgumentSchema check(entry.spec.parameters);
  } catch (const std::exception& problem) {
    throw PluginError(place + ": `parameters` " + problem.what());
  }
  const auto read_only = tool.find("read_only");
  if (read_only != tool.end()) {
    if (!read_only->is_boolean()) throw PluginError(place + ": `read_only` must be a boolean");
    entry.read_only = read_only->get<bool>();
  }
  return entry;
}

}  // namespace

bool is_plugin_name(std::string_view name) {
  constexpr std::string_view kDevices[] = {"con", "prn", "aux", "nul"};
  const bool device =
      std::find(std::begin(kDevices), std::end(kDevices), name) != std::end(kDevices);
  return is_word(name, 32, false) && !device;
}

bool is_tool_name(std::string_view name) {
  return is_word(name, 64, true);
}

ordered_json parse_manifest(std::string_view text) {
  if (tools::json_depth(text) > tools::kMaxJsonDepth) {
    throw PluginError("plugin.json is nested too deeply");
  }
  ordered_json manifest = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (manifest.is_discarded()) throw PluginError("plugin.json is not valid JSON");
  return manifest;
}

std::vector<ToolEntry> read_manifest(const ordered_json& manifest, PluginInfo& info,
                                     const std::vector<std::string_view>& own_tool_keys,
                                     const std::vector<std::string_view>& own_keys) {
  if (!manifest.is_object()) throw PluginError("the plugin must be a table with api = 1");
  const auto api = manifest.find("api");
  if (api == manifest.end() || !api->is_number_integer()) {
    throw PluginError("`api = 1` is missing");
  }
  if (api->get<std::int64_t>() != kApi) {
    throw PluginError("it is made for api " + api->dump() + "; this program has api " +
                      std::to_string(kApi));
  }
  refuse_unknown(manifest, {"api", "description", "tools"}, own_keys, "the plugin");
  info.description = text_of(manifest, "description", "the plugin");
  std::vector<ToolEntry> entries;
  const ordered_json none = ordered_json::array();
  const auto found = manifest.find("tools");
  const ordered_json& tools = found == manifest.end() ? none : *found;
  if (!tools.is_array() && !(tools.is_object() && tools.empty())) {
    throw PluginError("`tools` must be a list");
  }
  if (tools.size() > kMaxTools) {
    throw PluginError("more than " + std::to_string(kMaxTools) + " tools");
  }
  for (const ordered_json& tool : tools) {
    const std::string where = "tool " + std::to_string(entries.size() + 1);
    entries.push_back(read_tool(tool, where, own_tool_keys));
    const std::string& name = entries.back().spec.name;
    if (std::find(info.tools.begin(), info.tools.end(), name) != info.tools.end()) {
      throw PluginError("two of its tools are named " + name);
    }
    info.tools.push_back(name);
  }
  return entries;
}

}  // namespace corvid::plugins
