#include "runtime/plugin_folders.h"

#include <algorithm>

#include "plugins/manifest.h"
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
