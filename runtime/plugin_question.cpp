#include "runtime/plugin_question.h"

#include <termios.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <string_view>

#include "plugins/error.h"
#include "runtime/plugin_folders.h"
#include "runtime/terminal_text.h"

namespace corvid::runtime {
namespace {

namespace fs = std::filesystem;
using State = plugins::ProjectPlugin::State;

void print_list(const char* what, const std::vector<std::string>& names) {
  std::string line;
  for (const std::string& name : names) line += (line.empty() ? "" : ", ") + name;
  if (!line.empty()) std::printf("  %s: %s\n", what, shown(line, Care::command).c_str());
}

// What it brings, as loading it tells; that runs its plugin.lua in a machine without any reach.
// False: it cannot be loaded.
bool describe(const plugins::ProjectPlugin& plugin) {
  boost::asio::io_context io;
  const plugins::PluginInfo info =
      plugins::load_plugin(plugin.folder, {io.get_executor(), {}, {}}).info;
  if (!info.problem.empty()) return false;
  std::printf("The project %s the plugin %s: %s\n",
              plugin.state == State::fresh ? "brings" : "has changed", info.name.c_str(),
              shown(info.description, Care::command).c_str());
  print_list("tools", info.tools);
  print_list("hooks", info.hooks);
  print_list("needs", info.needs);
  std::printf("  %s\n", shown(plugin.folder.string(), Care::command).c_str());
  return true;
}

// Nothing that was typed before the question is an answer.
bool agrees() {
  tcflush(STDIN_FILENO, TCIFLUSH);
  std::printf("Use it in this project, as it is now? y yes, n no: ");
  std::fflush(stdout);
  char line[256];
  const ssize_t n = read(STDIN_FILENO, line, sizeof line);
  const std::string_view said(line, n > 0 ? static_cast<std::size_t>(n) : 0);
  return said == "y\n" || said == "yes\n";
}

}  // namespace

void ask_about_plugins(const fs::path& workspace) {
  for (const plugins::ProjectPlugin& plugin : project_plugins(workspace)) {
    if (plugin.state != State::fresh && plugin.state != State::changed) continue;
    if (!describe(plugin) || !agrees()) continue;
    fs::create_directories(agreed_plugins_folder(workspace));
    try {
      plugins::add_plugin(plugin.folder, agreed_plugins_folder(workspace));
    } catch (const plugins::PluginError& problem) {
      std::printf("%s\n", shown(problem.what(), Care::prose).c_str());
    }
  }
}

}  // namespace corvid::runtime
