#include <nlohmann/json.hpp>

#include "sandbox/files.h"
#include "sandbox/offload.h"
#include "tools/approval.h"
#include "tools/builtin.h"
#include "tools/spec.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

class WriteTool : public Tool {
 public:
  const ToolSpec& spec() const override { return spec_; }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override;

 private:
  ToolSpec spec_ = spec_from_text("write",
#include "tools/write.md.inc"
  );
};

asio::awaitable<ToolResult> WriteTool::call(ToolCall call, ToolContext& context) {
  const auto arguments = nlohmann::json::parse(call.arguments);
  const std::string shown = arguments["path"].get<std::string>();
  std::string content = arguments["content"].get<std::string>();
  const std::string size = std::to_string(content.size());
  auto look = [&files = context.files, shown] { return meant_path(files, shown); };
  const std::string path = co_await sandbox::offload(context.pool, std::move(look));
  const WriteAccess access = co_await write_access(path, context);
  auto work = [files = access.files, path, content = std::move(content)] {
    return files->write(path, content);
  };
  const auto outcome = co_await sandbox::offload(context.pool, std::move(work));
  if (const auto* error = std::get_if<sandbox::FileError>(&outcome)) {
    co_return error_result(call, with_refusal(sentence(*error, path, shown), access));
  }
  const std::string verb = std::get<bool>(outcome) ? "Created " : "Replaced ";
  co_return ToolResult{call.id, verb + visible_name(shown) + ", " + size + " bytes.", false};
}

}  // namespace

std::unique_ptr<Tool> make_write_tool() {
  return std::make_unique<WriteTool>();
}

}  // namespace corvid::tools
