// Which MCP servers there are: the `mcpServers` of .mcp.json files.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace corvid::plugins {

struct McpServerSpec {
  std::string name;  // letters, digits, - and _
  std::vector<std::string> argv;
  std::map<std::string, std::string> environment;
  bool trusted = false;  // the user chose it; else the user is asked before it is started
  std::string problem;   // why it cannot be used; empty: it can
};

// An entry that cannot be used has its problem set. PluginError when the text as a whole is wrong.
std::vector<McpServerSpec> parse_mcp_servers(std::string_view text, bool trusted);
// The same from a file; none when there is no such file.
std::vector<McpServerSpec> read_mcp_servers(const std::filesystem::path& file, bool trusted);

}  // namespace corvid::plugins
