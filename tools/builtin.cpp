#include "tools/builtin.h"

#include "tools/text.h"
#include "tools/toolbox.h"

namespace corvid::tools {
namespace {

bool is_there(const sandbox::Files& files, const std::string& path) {
  const auto read = files.read(path, 0);
  const auto* error = std::get_if<sandbox::FileError>(&read);
  return !error || error->kind != sandbox::FileError::Kind::missing;
}

}  // namespace

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

std::string meant_path(const sandbox::Files& files, const std::string& path) {
  const std::string name = name_of_visible(path);
  if (name == path || is_there(files, path)) return path;
  return is_there(files, name) ? name : path;
}

std::string sentence(const sandbox::FileError& error, const std::string& path,
                     const std::string& shown) {
  if (!error.message.starts_with(path)) return visible_name(error.message);
  return visible_name(shown + error.message.substr(path.size()));
}

ToolResult error_result(const ToolCall& call, std::string_view text) {
  return {call.id, "Error: " + std::string(text), true};
}

}  // namespace corvid::tools
