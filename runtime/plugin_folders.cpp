#include "runtime/plugin_folders.h"

#include <algorithm>

#include "plugins/error.h"
#include "plugins/manifest.h"
#include "runtime/error.h"
#include "runtime/folders.h"

namespace corvid::runtime {

namespace fs = std::filesystem;

namespace {

// Of a folder's own, in a folder of ours.
std::string name_of(const fs::path& workspace) {
  std::string name = workspace.string();
  std::replace(name.begin(), name.end(), '/', '%');
  return name.size() > 200 ? name.substr(name.size() - 200) : name;
}

}  // namespace

fs::path plugins_folder() {
  return config_folder() / "plugins";
}

fs::path project_plugins_folder(const fs::path& workspace) {
  return workspace / ".corvid" / "plugins";
}

// Beside an installed program, or in the source tree that it was built in.
fs::path shipped_plugin(const std::string& name) {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error || !plugins::is_plugin_name(name)) return {};
  const fs::path folder = program.parent_path();
  for (const char* place : {"../share/corvid/plugins", "../../plugins"}) {
    const fs::path found = (folder / place / name).lexically_normal();
    if (fs::is_directory(found, error)) return found;
  }
  return {};
}

fs::path agreed_plugins_folder(const fs::path& workspace) {
  return data_folder() / "plugins" / name_of(workspace);
}

fs::path plugin_state_folder(const fs::path& workspace) {
  return state_folder() / "plugins" / name_of(workspace);
}

std::vector<plugins::ProjectPlugin> project_plugins(const fs::path& workspace) {
  return plugins::project_plugins(project_plugins_folder(workspace),
                                  {plugins_folder(), agreed_plugins_folder(workspace)});
}

std::vector<fs::path> session_plugins(const fs::path& workspace) {
  std::vector<fs::path> folders = plugins::plugins_in(plugins_folder());
  for (const plugins::ProjectPlugin& plugin : project_plugins(workspace)) {
    const fs::path copy = agreed_plugins_folder(workspace) / plugin.name;
    const bool agreed = plugin.state == plugins::ProjectPlugin::State::agreed;
    if (agreed && !fs::exists(plugins_folder() / plugin.name)) folders.push_back(copy);
  }
  return folders;
}

std::vector<plugins::McpServerSpec> mcp_servers(const std::vector<std::string>& files,
                                                const fs::path& workspace,
                                                std::vector<std::string>& notices) {
  std::vector<plugins::McpServerSpec> servers;
  const auto add = [&](const fs::path& file, bool trusted, const std::string& option = {}) {
    for (plugins::McpServerSpec& server : plugins::read_mcp_servers(file, trusted)) {
      const bool known = std::any_of(servers.begin(), servers.end(),
                                     [&](const auto& other) { return other.name == server.name; });
      if (known) continue;
      if (!server.problem.empty()) {
        notices.push_back("The MCP server " + server.name + " of " + file.string() +
                          " cannot be used: " + server.problem);
      } else {
        server.memory = data_folder() / "mcp" / (trusted ? "own" : name_of(workspace)) /
                        (server.name + ".json");
        server.trust_command = "corvid plugins trust " + server.name + option;
        server.logins = state_folder() / "logins.json";
        server.login_command = "corvid plugins login " + server.name + option;
        servers.push_back(std::move(server));
      }
    }
  };
  for (const std::string& file : files) {
    if (!fs::exists(file)) throw RuntimeError("There is no file " + file + ".", kUsage);
    add(file, true, " --mcp " + file);
  }
  try {
    add(config_folder() / "mcp.json", true);
    add(workspace / ".mcp.json", false);
  } catch (const plugins::PluginError& problem) {
    notices.push_back(problem.what());
  }
  return servers;
}

std::vector<std::string> plugin_notices(const plugins::PluginSet& plugins) {
  std::vector<std::string> notices;
  for (const plugins::PluginInfo& info : plugins.infos()) {
    if (info.problem.empty()) continue;
    notices.push_back("The plugin " + info.name + " was not loaded: " + info.problem);
  }
  return notices;
}

std::vector<std::string> project_notices(const fs::path& workspace) {
  using State = plugins::ProjectPlugin::State;
  std::vector<std::string> notices;
  for (const plugins::ProjectPlugin& plugin : project_plugins(workspace)) {
    const std::string how = ". To use it, look at " + plugin.folder.string() +
                            " and run `corvid plugins trust " + plugin.name + "`.";
    if (plugin.state == State::fresh) {
      notices.push_back("The project brings a plugin named " + plugin.name + how);
    } else if (plugin.state == State::changed) {
      notices.push_back("The project's plugin " + plugin.name +
                        " has changed since you agreed to it" + how);
    } else if (plugin.state == State::unusable) {
      notices.push_back("The project's plugin " + plugin.name +
                        " is not usable: " + plugin.problem);
    }
  }
  return notices;
}

}  // namespace corvid::runtime
