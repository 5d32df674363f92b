// Where plugins lie, and what a session gets to see of them. Reads files; io thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "plugins/loader.h"

namespace corvid::runtime {

std::filesystem::path plugins_folder();  // those the user has added
std::filesystem::path project_plugins_folder(const std::filesystem::path& workspace);
// A plugin that comes with the program; empty when there is none of that name.
std::filesystem::path shipped_plugin(const std::string& name);
// What plugins keep for this workspace.
std::filesystem::path plugin_state_folder(const std::filesystem::path& workspace);

// Sentences about plugins that were not loaded, and those of the project that were not added.
std::vector<std::string> plugin_notices(const plugins::PluginSet& plugins,
                                        const std::filesystem::path& workspace);

}  // namespace corvid::runtime
