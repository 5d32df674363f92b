#include <nlohmann/json.hpp>

#include "sandbox/files.h"
#include "sandbox/lua_vm.h"
#include "sandbox/offload.h"
#include "tools/builtin.h"
#include "tools/lua_files.h"
#include "tools/spec.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

class LuaTool : public Tool {
 public:
  const ToolSpec& spec() const override { return spec_; }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override;

 private:
  ToolSpec spec_ = spec_from_text("lua",
#include "tools/lua.md.inc"
  );
};

// Printed lines, then one line for each returned value: strings as they are, the rest as JSON.
std::string text_of(const sandbox::LuaResult& result, std::size_t budget_bytes) {
  std::string text = escape_invalid(result.printed);
  for (const auto& value : nlohmann::ordered_json::parse(result.values)) {
    text += value.is_string() ? value.get<std::string>() : value.dump();
    text += '\n';
  }
  text = cut_middle(text, budget_bytes - std::min(budget_bytes, result.error.size() + 100));
  if (!result.error.empty()) return text + "Error: " + escape_invalid(result.error);
  return text.empty() ? "[the script printed and returned nothing]" : text;
}

asio::awaitable<ToolResult> LuaTool::call(ToolCall call, ToolContext& context) {
  const auto arguments = nlohmann::json::parse(call.arguments);
  const std::string script = arguments["script"].get<std::string>();
  auto work = [&files = context.files, script](std::stop_token stop) {
    sandbox::LuaVm vm;
    const auto lent_files = [&files]() -> const sandbox::Files& { return files; };
    add_file_functions(vm, {lent_files, [stop] { return stop; }});
    return vm.run(script, "script", stop);
  };
  const sandbox::LuaResult result = co_await sandbox::offload(context.pool, std::move(work));
  const std::string text = text_of(result, context.result_budget_bytes);
  co_return ToolResult{call.id, text, !result.error.empty()};
}

}  // namespace

std::unique_ptr<Tool> make_lua_tool() {
  return std::make_unique<LuaTool>();
}

}  // namespace corvid::tools
