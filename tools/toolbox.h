// The set of tools of a session, and the promise of exactly one result per call.
//
// run() answers every call of a turn, in the order of the calls: an unknown tool, arguments that do
// not fit the schema, a denied or interrupted call and a tool that throws all give a result that
// says so. Calls of tools that only read run side by side with their neighbours. Results are valid
// UTF-8 and cut to the budget. io thread only.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "tools/tool.h"

namespace corvid::tools {

class Toolbox {
 public:
  Toolbox();
  ~Toolbox();

  // Two tools with one name: std::invalid_argument (a bug of the caller). ToolError when the
  // schema of its parameters cannot be used.
  void add(std::unique_ptr<Tool> tool);
  const Tool* find(std::string_view name) const;
  std::vector<ToolSpec> specs() const;  // in the order of add()

  struct Observer {                                // any of them may be empty
    std::function<void(const ToolCall&)> started;  // not for calls that an interrupt prevents
    std::function<void(const ToolCall&, std::string_view)> output;
    std::function<asio::awaitable<void>(const ToolCall&, const ToolResult&)> finished;  // journals
  };
  // When the coroutine is cancelled, unfinished calls get "interrupted" results and it returns.
  asio::awaitable<std::vector<ToolResult>> run(std::vector<ToolCall> calls, ToolContext& context,
                                               Observer observer);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// The built-in tools of one session, in prompt order: shell, ..., search, find, lua.
std::vector<std::unique_ptr<Tool>> builtin_tools();

}  // namespace corvid::tools
