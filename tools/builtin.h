// The built-in tools, one factory each; builtin_tools() in toolbox.h makes them all. Their texts
// for the model stand in the .md files beside their sources.
#pragma once

#include <memory>

#include "sandbox/files.h"
#include "tools/tool.h"

namespace corvid::tools {

std::unique_ptr<Tool> make_shell_tool();
std::unique_ptr<Tool> make_read_tool();
std::unique_ptr<Tool> make_write_tool();
std::unique_ptr<Tool> make_edit_tool();
std::unique_ptr<Tool> make_search_tool();
std::unique_ptr<Tool> make_find_tool();
std::unique_ptr<Tool> make_lua_tool();

// What work on the pool comes to, before it is the result of a call.
struct Answer {
  std::string text;
  bool is_error = true;
};

// The path that a call means: itself, or where nothing has that name, what is listed so because of
// bytes that cannot be shown. Blocking.
std::string meant_path(const sandbox::Files& files, const std::string& path);
// The sentence of an error about such a path, with the path as it is shown.
std::string sentence(const sandbox::FileError& error, const std::string& path,
                     const std::string& shown);

// "Error: " and one sentence.
ToolResult error_result(const ToolCall& call, std::string_view text);

}  // namespace corvid::tools
