// Finds plugins in folders and loads them. A plugin that cannot be loaded is named with the reason
// and the rest work. Reads files and runs each plugin.lua: at start only.
//
// Plugins are loaded from folders of the user's alone. Those that a project brings, where a model
// could rewrite them, are copied when the user agrees; one that has changed since is not used.
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
  // One plugin a folder.
  PluginSet(const std::vector<std::filesystem::path>& folders, const PluginHost& host);

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

// The plugins in a folder, by name; none when there is no such folder.
std::vector<std::filesystem::path> plugins_in(const std::filesystem::path& folder);

// Copies a plugin's folder to `destination`/name, over what was there. PluginError for links, for
// more than 1000 files, or for a plugin that does not load.
PluginInfo add_plugin(const std::filesystem::path& folder,
                      const std::filesystem::path& destination);

// A plugin that a project brings along, and what the user has said to it.
struct ProjectPlugin {
  enum class State { fresh, changed, agreed, unusable };
  std::string name;
  std::filesystem::path folder;
  State state = State::fresh;
  std::string problem;  // unusable: why
};
// `copies`: folders where those are that the user agreed to.
std::vector<ProjectPlugin> project_plugins(const std::filesystem::path& project,
                                           const std::vector<std::filesystem::path>& copies);

}  // namespace corvid::plugins
