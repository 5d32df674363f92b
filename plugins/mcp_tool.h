// The tool `mcp`: what the tools of all MCP servers look like to a model. Only the servers' names
// stand in the prompt; their tools are listed, described and called through it.
#pragma once

#include <memory>
#include <vector>

#include "plugins/mcp_server.h"

namespace corvid::plugins {

// At least one server. `notice` takes sentences for the user.
std::unique_ptr<tools::Tool> make_mcp_tool(std::vector<McpServerSpec> specs,
                                           McpPatience patience = {}, Notice notice = {});

}  // namespace corvid::plugins
