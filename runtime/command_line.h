// How the command line speaks: help that fits a terminal of 80 columns, and errors that say what to
// type instead. CLI11 does the parsing. Main thread.
#pragma once

#include <string>

namespace CLI {
class App;
class Error;
}  // namespace CLI

namespace corvid::runtime {

void set_up_help(CLI::App& app);  // before subcommands are added: they inherit it

// What was wrong with the line that was just parsed, and what to do.
std::string describe(const CLI::App* app, const CLI::Error& error);

}  // namespace corvid::runtime
