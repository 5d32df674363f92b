#include "runtime/plugin_folders.h"

#include <algorithm>

#include "plugins/error.h"
#include "plugins/manifest.h"
#include "runtime/error.h"
#include "runtime/folders.h"

namespace corvid::runtime {

namespace fs = std::filesystem;

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

fs::path plugin_state_folder(const fs::path& workspace) {
  std::string name = workspace.string();
  std::replace(name.begin(), name.end(), '/', '%');
  if (name.size() > 200) name = name.substr(name.size() - 200);
  return state_folder() / "plugins" / name;
}

std::vector<plugins::McpServerSpec> mcp_servers(const std::vector<std::string>& files,
                                                const fs::path& workspace,
                                                std::vector<std::string>& notices) {
  std::vector<plugins::McpServerSpec> servers;
  const auto add = [&](const fs::path& file, bool trusted) {
    for (plugins::McpServerSpec& server : plugins::read_mcp_servers(file, trusted)) {
      const bool known = std::any_of(servers.begin(), servers.end(),
                                     [&](const auto& other) { return other.name == server.name; });
      if (known) continue;
      if (!server.problem.empty()) {
        notices.push_back("The MCP server " + server.name + " of " + file.string() +
                          " cannot be used: " + server.problem);
      } else {
        servers.push_back(std::move(server));
      }
    }
  };
  for (const std::string& file : files) {
    if (!fs::exists(file)) throw RuntimeError("There is no file " + file + ".", kUsage);
    add(file, true);
  }
  try {
    add(config_folder() / "mcp.json", true);
    add(workspace / ".mcp.json", false);
  } catch (const plugins::PluginError& problem) {
    notices.push_back(problem.what());
  }
  return servers;
}

std::vector<std::string> plugin_notices(const plugins::PluginSet& plugins,
                                        const fs::path& workspace) {
  std::vector<std::string> notices;
  for (const plugins::PluginInfo& info : plugins.infos()) {
    if (info.problem.empty()) continue;
    notices.push_back("The plugin " + info.name + " was not loaded: " + info.problem);
  }
  for (std::string& stranger :
       plugins::strangers(project_plugins_folder(workspace), plugins_folder())) {
    notices.push_back(std::move(stranger));
  }
  return notices;
}

}  // namespace corvid::runtime
