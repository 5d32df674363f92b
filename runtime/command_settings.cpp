// corvid settings
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "runtime/commands.h"
#include "runtime/settings.h"

namespace corvid::runtime {

void add_settings_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("settings", "Print every setting, what it means and what it is");
  command->footer(
      "\nThe output is a settings file: lines that start with # and a name are the defaults. Flags "
      "of a\ncommand override the file; nothing in a project is ever read as settings.");
  command->callback([] {
    const std::filesystem::path file = settings_file();
    const Settings settings = load_settings(file);
    const char* state = std::filesystem::exists(file) ? "" : " (not there yet)";
    std::printf(
        "# %s%s\n# API keys: one \"HOST KEY\" a line in %s, mode 600, or CORVID_API_KEY\n\n%s",
        file.c_str(), state, key_file().c_str(), print_settings(settings).c_str());
  });
}

}  // namespace corvid::runtime
