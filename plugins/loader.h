// Finds plugins in folders and loads them. A plugin that cannot be loaded is named with the reason
// and the rest work. Reads files and runs each plugin.lua: at start only.
//
// Plugins are loaded from the user's folder alone. Those that a project brings, where a model could
// rewrite them, are copied there when the user says so; a copy that differs by now is reported.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/plugin.h"
#include "tools/toolbox.h"

namespace corvid::plugins {

// The plugin in one folder (with plugin.lua or plugin.json). Never throws for a bad plugin.
Plugin load_plugin(const std::filesystem::path& folder, const PluginHost& host);

class PluginSet {
 public:
  // Loads every plugin of the folder, by name.
  PluginSet(const std::filesystem::path& folder, const PluginHost& host);

  std::vector<PluginInfo> infos() const;

  // Moves the tools into the toolbox. A plugin with a tool whose name is taken brings none of its
  // tools, and its info says why.
  void add_tools(tools::Toolbox& toolbox);

  bool has_hooks() const;
  // Asks the plugins one after the other, each with what the one before it changed; a denial ends
  // it. A hook that fails before a call or a prompt denies it; later ones only leave a notice.
  asio::awaitable<std::string> hook(std::string when, std::string json,
                                    tools::ToolContext& context) const;

 private:
  std::function<void(std::string_view)> notice_;
  std::vector<Plugin> plugins_;
};

// Copies a plugin's folder to `destination`/name, over what was there. PluginError for links, for
// more than 1000 files, or for a plugin that does not load.
PluginInfo add_plugin(const std::filesystem::path& folder,
                      const std::filesystem::path& destination);

// Sentences about the plugins in `project` that the user has not added to `folder`, or that have
// changed since.
std::vector<std::string> strangers(const std::filesystem::path& project,
                                   const std::filesystem::path& folder);

}  // namespace corvid::plugins
