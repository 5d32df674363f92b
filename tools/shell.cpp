#include <unistd.h>

#include <nlohmann/json.hpp>

#include "sandbox/error.h"
#include "tools/builtin.h"
#include "tools/shell_text.h"
#include "tools/spec.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

constexpr int kDefaultTimeoutSeconds = 120;

const char* shell_program() {
  static const char* const program =
      ::access("/bin/bash", X_OK) == 0 || ::access("/usr/bin/bash", X_OK) == 0 ? "bash" : "sh";
  return program;
}

// A name for the call's output file; the ids are the model's or a server's.
std::string file_name_of(std::string_view call_id) {
  std::string name = "output-";
  for (char c : call_id.substr(0, 64)) {
    name += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  }
  return name + ".txt";
}

class ShellTool : public Tool {
 public:
  const ToolSpec& spec() const override { return spec_; }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override;

 private:
  ToolSpec spec_ = spec_from_text("shell",
#include "tools/shell.md.inc"
  );
};

sandbox::ProcessSpec process_of(const ToolCall& call, const ToolContext& context) {
  const auto arguments = nlohmann::json::parse(call.arguments);
  sandbox::ProcessSpec process;
  process.argv = {shell_program(), "-c", arguments["command"].get<std::string>()};
  process.deadline = std::chrono::seconds(arguments.value("timeout", kDefaultTimeoutSeconds));
  process.head_bytes = process.tail_bytes = context.result_budget_bytes / 2;
  if (!context.spill_folder.empty()) {
    std::filesystem::create_directories(context.spill_folder);
    process.spill = context.spill_folder / file_name_of(call.id);
  }
  if (context.on_output) {
    process.on_output = [stream = std::make_shared<Utf8Stream>(), output = context.on_output](
                            std::string_view bytes) { output(stream->push(bytes)); };
  }
  return process;
}

asio::awaitable<ToolResult> ShellTool::call(ToolCall call, ToolContext& context) {
  sandbox::ProcessSpec process = process_of(call, context);
  const auto deadline = std::chrono::duration_cast<std::chrono::seconds>(process.deadline);
  std::filesystem::path spill = process.spill;
  const sandbox::ProcessResult done = co_await context.sandbox.run(std::move(process));
  if (done.tail.empty() && !spill.empty()) {  // all of it is in the result
    std::error_code ignored;
    std::filesystem::remove(spill, ignored);
    spill.clear();
  }
  std::string text = shell_text(done, {deadline, context.result_budget_bytes, spill.string()});
  co_return ToolResult{call.id, std::move(text), !done.exit_code.has_value()};
}

}  // namespace

std::unique_ptr<Tool> make_shell_tool() {
  return std::make_unique<ShellTool>();
}

}  // namespace corvid::tools
