#include "tools/builtin.h"

#include "tools/toolbox.h"

namespace corvid::tools {

std::vector<std::unique_ptr<Tool>> builtin_tools() {
  std::vector<std::unique_ptr<Tool>> tools;
  tools.push_back(make_shell_tool());
  tools.push_back(make_read_tool());
  tools.push_back(make_write_tool());
  tools.push_back(make_edit_tool());
  tools.push_back(make_search_tool());
  tools.push_back(make_find_tool());
  tools.push_back(make_lua_tool());
  return tools;
}

ToolResult error_result(const ToolCall& call, std::string_view text) {
  return {call.id, "Error: " + std::string(text), true};
}

}  // namespace corvid::tools
