#include "runtime/instructions.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string_view>

#include "tools/text.h"

namespace corvid::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSystemPrompt =
#include "runtime/system_prompt.md.inc"
    ;

// A regular file only: a project must not hang or flood the start with a pipe or a device; and one
// inside `root`, so that a link in it does not show the model what lies elsewhere.
bool is_file(const fs::path& path, const fs::path& root) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error || !fs::is_regular_file(real, error)) return false;
  const fs::path below = real.lexically_relative(fs::canonical(root, error));
  return !below.empty() && *below.begin() != "..";
}

std::optional<fs::path> agents_file(const fs::path& folder, const fs::path& root) {
  for (const char* name : {"AGENTS.override.md", "AGENTS.md"}) {
    if (is_file(folder / name, root)) return folder / name;
  }
  return std::nullopt;
}

// The folders from the repository's root down to the workspace.
std::vector<fs::path> project_folders(const fs::path& workspace) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::path folder = workspace;; folder = folder.parent_path()) {
    folders.push_back(folder);
    if (fs::exists(folder / ".git", error)) break;
    if (!folder.has_relative_path()) return {workspace};  // not in a repository
  }
  std::ranges::reverse(folders);
  return folders;
}

// At most `limit` bytes; the cut never splits a character.
std::string read_text(const fs::path& path, std::size_t limit, bool& cut) {
  std::string text(limit + 1, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  cut = text.size() > limit;
  if (cut) {
    while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
    text.resize(limit);
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return tools::escape_invalid(text);
}

}  // namespace

std::vector<fs::path> agents_chain(const fs::path& workspace, const fs::path& config) {
  std::vector<fs::path> chain;
  if (const auto file = agents_file(config, "/")) chain.push_back(*file);
  const std::vector<fs::path> folders = project_folders(workspace);
  for (const fs::path& folder : folders) {
    if (const auto file = agents_file(folder, folders.front())) chain.push_back(*file);
  }
  return chain;
}

Instructions make_instructions(const fs::path& workspace, const fs::path& config) {
  Instructions instructions;
  instructions.system = std::string(kSystemPrompt);
  instructions.system += "\n\nThe workspace is " + workspace.string() + ".";
  std::size_t left = kAgentsLimitBytes;
  for (const fs::path& file : agents_chain(workspace, config)) {
    bool cut = false;
    const std::string text = read_text(file, left, cut);
    if (cut) {
      instructions.notices.push_back(file.string() + " was cut: instructions are read up to " +
                                     std::to_string(kAgentsLimitBytes / 1024) + " KiB in all.");
    }
    if (text.empty()) continue;
    left -= std::min(left, text.size());
    instructions.files.push_back(file);
    instructions.system += "\n\nInstructions from " + file.string() + ":\n\n" + text;
  }
  return instructions;
}

}  // namespace corvid::runtime
