// Asks about the plugins that a project brings along, before a session begins: each once, and again
// when it has changed. Uses standard input and output, which are a terminal; blocks.
#pragma once

#include <filesystem>

namespace corvid::runtime {

void ask_about_plugins(const std::filesystem::path& workspace);

}  // namespace corvid::runtime
