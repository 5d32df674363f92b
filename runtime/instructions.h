// What the model is told before the user speaks: who it is, where it works, and the AGENTS.md files
// of the user and the project. Nothing volatile (no date, no status), so that the prefix stays the
// same. Reads files; any thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace corvid::runtime {

struct Instructions {
  std::string system;
  std::vector<std::filesystem::path> files;  // AGENTS.md files that were read
  std::vector<std::string> notices;          // for people: what was cut or left out
};

inline constexpr std::size_t kAgentsLimitBytes = 32 * 1024;

// The files that apply in `workspace`, outermost first: the one in `config`, then from the
// repository's root (where .git is; else only the workspace) down. AGENTS.override.md goes before
// AGENTS.md in its folder.
std::vector<std::filesystem::path> agents_chain(const std::filesystem::path& workspace,
                                                const std::filesystem::path& config);

Instructions make_instructions(const std::filesystem::path& workspace,
                               const std::filesystem::path& config);

}  // namespace corvid::runtime
