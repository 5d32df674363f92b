// What the user has agreed to about one MCP server, and what its tools were then, from one session
// to the next: a server that was agreed to may offer other tools later, or describe them otherwise.
// Reads and writes a small file; io thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "plugins/mcp_message.h"

namespace corvid::plugins {

struct McpToolChanges {
  std::vector<McpTool> fresh, changed;
  std::vector<std::string> gone;

  bool empty() const { return fresh.empty() && changed.empty() && gone.empty(); }
  std::string names() const;    // "new: a; changed: b; gone: c"
  std::string in_full() const;  // with what is new, for the user to judge
};

class McpTrust {
 public:
  // A file that is about another entry of .mcp.json than `entry` counts as none. Without a file all
  // is forgotten with this object.
  McpTrust(std::filesystem::path file, std::string entry);

  bool agreed() const { return agreed_; }
  // PluginError when that cannot be written down.
  void agree();
  // Against the tools known; none when none are.
  McpToolChanges changes(const std::vector<McpTool>& tools) const;
  void know(const std::vector<McpTool>& tools);
  // Agreed to as it is, whatever its tools will be next.
  void renew();

 private:
  void save() const;

  std::filesystem::path file_;
  std::string entry_;
  bool agreed_ = false;
  std::optional<std::vector<McpTool>> tools_;
};

}  // namespace corvid::plugins
