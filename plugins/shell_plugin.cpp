#include "plugins/shell_plugin.h"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "plugins/error.h"
#include "plugins/manifest.h"
#include "tools/approval.h"
#include "tools/shell_text.h"
#include "tools/text.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;
using tools::ToolCall;
using tools::ToolContext;
using tools::ToolResult;

constexpr int kDefaultTimeoutSeconds = 120;
constexpr int kMaxTimeoutSeconds = 3600;
constexpr std::size_t kMaxVariableBytes = 100 * 1024;  // the kernel takes 128 KiB

struct Command {
  std::vector<std::string> argv;
  std::chrono::seconds timeout{kDefaultTimeoutSeconds};
};

class ShellPluginTool : public tools::Tool {
 public:
  ShellPluginTool(ToolEntry entry, Command command, std::filesystem::path folder)
      : entry_(std::move(entry)), command_(std::move(command)), folder_(std::move(folder)) {}
  const tools::ToolSpec& spec() const override { return entry_.spec; }
  bool read_only() const override { return entry_.read_only; }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override;

 private:
  sandbox::ProcessSpec process_of(const ToolCall& call, const ToolContext& context) const;

  ToolEntry entry_;
  Command command_;
  std::filesystem::path folder_;
};

bool is_variable_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) || c == '_');
  });
}

sandbox::ProcessSpec ShellPluginTool::process_of(const ToolCall& call,
                                                 const ToolContext& context) const {
  sandbox::ProcessSpec process;
  process.argv = command_.argv;
  process.input = call.arguments + "\n";
  process.deadline = command_.timeout;
  process.head_bytes = process.tail_bytes = context.result_budget_bytes / 2;
  process.extra_environment["PLUGIN_FOLDER"] = folder_.string();
  const ordered_json arguments = ordered_json::parse(call.arguments);
  for (const auto& [name, value] : arguments.items()) {
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    const bool fits = text.size() <= kMaxVariableBytes && text.find('\0') == text.npos;
    if (fits && is_variable_name(name)) process.extra_environment["ARG_" + name] = std::move(text);
  }
  if (context.on_output) {
    process.on_output = [stream = std::make_shared<tools::Utf8Stream>(),
                         output = context.on_output](std::string_view bytes) {
      output(stream->push(bytes));
    };
  }
  return process;
}

// On success the output alone; otherwise how it ended, too.
asio::awaitable<ToolResult> ShellPluginTool::call(ToolCall call, ToolContext& context) {
  sandbox::ProcessSpec process = process_of(call, context);
  const tools::Verdict verdict = co_await tools::may_run(process.argv.back(), context);
  if (!verdict.allowed) co_return ToolResult{call.id, "Error: " + verdict.why, true};
  const sandbox::ProcessResult done = co_await context.sandbox.run(std::move(process));
  std::string text = tools::shell_text(done, {command_.timeout, context.result_budget_bytes, {}});
  const bool good = done.exit_code == 0 && !done.timed_out && !done.interrupted;
  if (good && done.output_bytes > 0) text.resize(text.rfind('\n'));
  co_return ToolResult{call.id, std::move(text), !good};
}

std::string program_path(const std::filesystem::path& folder, const std::string& program) {
  const std::filesystem::path relative = std::filesystem::path(program).lexically_normal();
  const std::filesystem::path path = folder / relative;
  struct stat status {};
  const bool inside = !relative.empty() && relative.is_relative() && *relative.begin() != "..";
  if (!inside || ::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw PluginError("`program` " + program + " is not a file of the plugin's folder");
  }
  if ((status.st_mode & S_IXUSR) == 0) {
    throw PluginError("`program` " + program + " is not executable: chmod +x it");
  }
  return path.string();
}

Command read_command(const ordered_json& tool, const std::filesystem::path& folder) {
  Command command;
  const bool line = tool.contains("command"), program = tool.contains("program");
  if (line == program) throw PluginError("a tool needs either `command` or `program`");
  const ordered_json& what = tool[line ? "command" : "program"];
  if (!what.is_string()) throw PluginError("`command` and `program` are strings");
  if (line)
    command.argv = {"sh", "-c", what.get<std::string>()};
  else
    command.argv = {program_path(folder, what.get<std::string>())};
  if (tool.contains("timeout")) {
    const ordered_json& seconds = tool["timeout"];
    if (!seconds.is_number_integer() || seconds < 1 || seconds > kMaxTimeoutSeconds) {
      throw PluginError("`timeout` must be 1 to 3600 seconds");
    }
    command.timeout = std::chrono::seconds(seconds.get<int>());
  }
  return command;
}

}  // namespace

Plugin load_shell_plugin(PluginInfo info, std::string_view text) {
  const ordered_json manifest = parse_manifest(text);
  Plugin plugin;
  auto entries = read_manifest(manifest, info, {"command", "program", "timeout"}, {});
  info.needs = {"run"};
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string name = entries[i].spec.name;
    try {
      Command command = read_command(manifest["tools"][i], info.folder);
      plugin.tools.push_back(std::make_unique<ShellPluginTool>(std::move(entries[i]),
                                                               std::move(command), info.folder));
    } catch (const PluginError& problem) {
      throw PluginError("tool " + name + ": " + problem.what());
    }
  }
  plugin.info = std::move(info);
  return plugin;
}

}  // namespace corvid::plugins
