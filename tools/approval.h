// What tools ask the user for: more than the policy gives. Verdicts come from ToolContext::approve;
// where that is empty the answer is no. io thread only.
#pragma once

#include <filesystem>
#include <memory>

#include "sandbox/files.h"
#include "tools/tool.h"

namespace corvid::tools {

// Whether a command may run. It may where the sandbox confines it, and where the user has switched
// that off; on a machine where nothing holds the user is asked about each.
asio::awaitable<Verdict> may_run(std::string command, ToolContext& context);

// Files that may write `path`: what `context` has, or, for a path outside its folders that the
// user allows, one that may write in its folder, too. What is allowed for good is that one file.
struct WriteAccess {
  std::shared_ptr<const sandbox::Files> files;
  std::string refusal;  // a sentence when the user was asked and said no; files refuse then
};
asio::awaitable<WriteAccess> write_access(std::string path, ToolContext& context);
// What the model is told when such a write failed.
std::string with_refusal(const std::string& error, const WriteAccess& access);

}  // namespace corvid::tools
