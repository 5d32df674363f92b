#include "plugins/mcp_config.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "plugins/error.h"
#include "plugins/manifest.h"
#include "tools/arguments.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxFileBytes = 1 << 20;
constexpr std::size_t kMaxServers = 64;

std::string string_of(const ordered_json& value, const std::string& what) {
  if (!value.is_string()) throw PluginError("`" + what + "` must be a string");
  std::string text = value.get<std::string>();
  if (text.find('\0') != text.npos) throw PluginError("`" + what + "` has a NUL in it");
  return text;
}

void read_entry(const ordered_json& entry, McpServerSpec& spec) {
  if (!is_tool_name(spec.name)) {
    throw PluginError("its name may have letters, digits, - and _, at most 64");
  }
  if (!entry.is_object()) throw PluginError("it must be an object");
  const std::string type = entry.contains("type") ? string_of(entry["type"], "type") : "stdio";
  if (type != "stdio" || entry.contains("url")) {
    throw PluginError("only servers that are started with `command` can be used");
  }
  if (!entry.contains("command")) throw PluginError("`command` is missing");
  spec.argv.push_back(string_of(entry["command"], "command"));
  if (spec.argv[0].empty()) throw PluginError("`command` is empty");
  if (entry.contains("args")) {
    if (!entry["args"].is_array()) throw PluginError("`args` must be a list of strings");
    for (const ordered_json& word : entry["args"]) spec.argv.push_back(string_of(word, "args"));
  }
  if (!entry.contains("env")) return;
  if (!entry["env"].is_object()) throw PluginError("`env` must be an object of strings");
  for (const auto& [name, value] : entry["env"].items()) {
    if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != name.npos) {
      throw PluginError("`env` has a name that is none");
    }
    spec.environment[name] = string_of(value, "env");
  }
}

}  // namespace

std::vector<McpServerSpec> parse_mcp_servers(std::string_view text, bool trusted) {
  if (tools::json_depth(text) > tools::kMaxJsonDepth) throw PluginError("it is nested too deep");
  const ordered_json json = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw PluginError("it is not a JSON object");
  std::vector<McpServerSpec> specs;
  if (!json.contains("mcpServers")) return specs;
  const ordered_json& servers = json["mcpServers"];
  if (!servers.is_object()) throw PluginError("`mcpServers` must be an object");
  if (servers.size() > kMaxServers) throw PluginError("it names more than 64 servers");
  for (const auto& [name, entry] : servers.items()) {
    McpServerSpec spec;
    spec.name = name;
    spec.trusted = trusted;
    try {
      read_entry(entry, spec);
    } catch (const PluginError& problem) {
      spec.problem = problem.what();
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

std::vector<McpServerSpec> read_mcp_servers(const std::filesystem::path& file, bool trusted) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return {};
  if (std::filesystem::file_size(file, error) > kMaxFileBytes) {
    throw PluginError(file.string() + " has more than 1 MiB");
  }
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  try {
    return parse_mcp_servers(text.str(), trusted);
  } catch (const PluginError& problem) {
    throw PluginError(file.string() + ": " + problem.what());
  }
}

}  // namespace corvid::plugins
