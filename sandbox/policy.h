// What a tool may touch. A plain value, made once per session from settings and flags and never
// from a tool's arguments.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace corvid::sandbox {

struct Limits {
  std::int64_t memory_bytes = std::int64_t{4} << 30;  // of all processes of one command
  std::int64_t file_bytes = std::int64_t{4} << 30;    // largest file that can be written
  std::int64_t tmp_bytes = std::int64_t{1} << 30;     // size of the private /tmp
  int processes = 1024;
  int open_files = 1024;
};

struct Policy {
  enum class Mode { on, off };

  Mode mode = Mode::on;
  std::filesystem::path workspace;              // canonical, absolute; writable
  std::vector<std::filesystem::path> writable;  // further writable folders, canonical
  std::vector<std::filesystem::path> secrets;   // hidden: key files, ~/.ssh, agent state, ...
  std::vector<std::filesystem::path> readable;  // in spite of secrets above them: spill files
  std::vector<std::filesystem::path> frozen;    // in writable folders, but to stay as they are
  bool network = false;
  bool proxy = false;  // without a network, a proxy that reaches `hosts` and may ask for others
  std::vector<std::string> hosts;  // see host_filter.h
  Limits limits;
};

// Policy for a workspace with the default secrets of this user's home hidden. The git folder of the
// repository that the workspace is a part or a worktree of is writable too. SandboxError when the
// workspace is not a folder.
Policy default_policy(const std::filesystem::path& workspace);

// Names that programs of the user run or obey later, outside the sandbox: they stay as they are,
// and absent where they are absent. Below a repository's `.git` these are hooks and configuration.
inline constexpr std::string_view kProtectedNames[] = {
    // of git and of what is run by it
    ".gitmodules", ".husky",
    // of shells and editors
    ".envrc", ".vscode", ".idea", ".zed", ".fleet", ".devcontainer", ".devcontainer.json",
    ".nvim.lua", ".nvimrc", ".exrc", ".lvimrc", ".helix",
    // of agents
    ".mcp.json", ".corvid", ".agents", ".claude", ".codex", ".cursor", ".gemini", ".qwen",
    ".opencode", "opencode.json", "opencode.jsonc", ".crush.json", "crush.json", ".pi", ".goose",
    ".kimi-code", ".windsurf", ".continue", ".kiro", ".roo", ".aider.conf.yml"};

// The first part of a relative path that is a protected name or `.git`, however it is spelled for
// file systems that fold case or drop invisible characters; empty when there is none.
std::string protected_part(const std::filesystem::path& relative);

// Those of `policy.frozen` that lie in a writable folder and are not, or lead to, one themselves.
std::vector<std::filesystem::path> frozen_paths(const Policy& policy);

// True for `root` itself and everything below it. Both absolute and normal.
bool is_beneath(const std::filesystem::path& path, const std::filesystem::path& root);

}  // namespace corvid::sandbox
