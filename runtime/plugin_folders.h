// Where plugins lie, and what a session gets to see of them. Reads files; io thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "plugins/loader.h"
#include "plugins/mcp_config.h"

namespace corvid::runtime {

std::filesystem::path plugins_folder();  // those the user has added
// Copies of those of this workspace that the user agreed to.
std::filesystem::path agreed_plugins_folder(const std::filesystem::path& workspace);
std::filesystem::path project_plugins_folder(const std::filesystem::path& workspace);
// A plugin that comes with the program; empty when there is none of that name.
std::filesystem::path shipped_plugin(const std::string& name);
// What plugins keep for this workspace.
std::filesystem::path plugin_state_folder(const std::filesystem::path& workspace);

std::vector<plugins::ProjectPlugin> project_plugins(const std::filesystem::path& workspace);
// The folders of all plugins that a session here gets.
std::vector<std::filesystem::path> session_plugins(const std::filesystem::path& workspace);

// The MCP servers of `files` and of the user's mcp.json, which are trusted, and those that the
// workspace's .mcp.json names. Of servers with one name the first counts. Adds sentences about what
// cannot be used to `notices`.
std::vector<plugins::McpServerSpec> mcp_servers(const std::vector<std::string>& files,
                                                const std::filesystem::path& workspace,
                                                std::vector<std::string>& notices);

// Sentences about plugins that were not loaded.
std::vector<std::string> plugin_notices(const plugins::PluginSet& plugins);
// About those of the project that the user has not agreed to as they are.
std::vector<std::string> project_notices(const std::filesystem::path& workspace);

}  // namespace corvid::runtime
