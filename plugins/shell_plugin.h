// Plugins of commands: plugin.json names for each tool a shell line (`command`) or an executable of
// the plugin's folder (`program`). The arguments come as JSON on stdin, and each as an environment
// variable ARG_name (strings as they are, other values as JSON); nothing is ever spliced into the
// line. Commands run in the workspace, in the sandbox; PLUGIN_FOLDER names the plugin's folder.
#pragma once

#include "plugins/plugin.h"

namespace corvid::plugins {

// PluginError when the manifest cannot be used.
Plugin load_shell_plugin(PluginInfo info, std::string_view manifest);

}  // namespace corvid::plugins
