#include <unistd.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "sandbox/error.h"
#include "tools/approval.h"
#include "tools/builtin.h"
#include "tools/jobs.h"
#include "tools/shell_text.h"
#include "tools/spec.h"
#include "tools/text.h"

namespace corvid::tools {
namespace {

constexpr std::chrono::seconds kDefaultTimeout{120};
constexpr int kMaxTimeoutSeconds = 3600;
constexpr std::chrono::seconds kNoDeadline = std::chrono::hours(24 * 365);
constexpr std::chrono::seconds kLook{1};           // a job that fails at once says so at once
constexpr std::chrono::seconds kStopPatience{10};  // it is killed long before

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
  return name;
}

class ShellTool : public Tool {
 public:
  const ToolSpec& spec() const override { return spec_; }
  std::vector<std::string> background() const override { return jobs_.running(); }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override;

 private:
  asio::awaitable<ToolResult> run(ToolCall call, sandbox::ProcessSpec process,
                                  ToolContext& context);
  asio::awaitable<ToolResult> start(ToolCall call, sandbox::ProcessSpec process,
                                    ToolContext& context);
  asio::awaitable<ToolResult> look_after(ToolCall call, ToolContext& context);

  ToolSpec spec_ = spec_from_text("shell",
#include "tools/shell.md.inc"
  );
  Jobs jobs_;
};

// One that is not there yet: ids and numbers come back, and the file of an earlier result stays.
std::filesystem::path spill_file(const ToolContext& context, const std::string& name) {
  if (context.spill_folder.empty()) return {};
  std::filesystem::create_directories(context.spill_folder);
  std::filesystem::path file = context.spill_folder / (name + ".txt");
  for (int n = 2; std::filesystem::exists(file); ++n) {
    file = context.spill_folder / (name + "-" + std::to_string(n) + ".txt");
  }
  return file;
}

// A whole number, which may be any that JSON can spell.
int number_of(const nlohmann::json& value, int most) {
  return static_cast<int>(std::clamp<double>(value.get<double>(), 0, most));
}

std::chrono::seconds time_of(const nlohmann::json& arguments, std::chrono::seconds usual) {
  if (!arguments.contains("timeout")) return usual;
  return std::chrono::seconds(number_of(arguments["timeout"], kMaxTimeoutSeconds));
}

// What the arguments leave open; empty when they make sense.
std::string confusion(const nlohmann::json& arguments, const Jobs& jobs) {
  const bool has_command = arguments.contains("command");
  if (has_command && arguments.contains("job")) return "give either `command` or `job`, not both.";
  if (has_command && (arguments.contains("input") || arguments.contains("stop"))) {
    return "`input` and `stop` are for a `job` that runs.";
  }
  if (has_command && time_of(arguments, kDefaultTimeout) < std::chrono::seconds(1)) {
    return "`timeout` is in seconds, 1 at least.";
  }
  if (has_command || arguments.contains("job")) return {};
  std::string text = "`command` is missing, or `job`.";
  for (const std::string& line : jobs.running()) text += "\n" + line;
  return text;
}

asio::awaitable<ToolResult> ShellTool::call(ToolCall call, ToolContext& context) {
  const auto arguments = nlohmann::json::parse(call.arguments);
  const std::string problem = confusion(arguments, jobs_);
  if (!problem.empty()) co_return error_result(call, problem);
  if (arguments.contains("job")) co_return co_await look_after(std::move(call), context);
  const bool background = arguments.value("background", false);
  sandbox::ProcessSpec process;
  process.argv = {shell_program(), "-c", arguments["command"].get<std::string>()};
  process.deadline = time_of(arguments, background ? kNoDeadline : kDefaultTimeout);
  process.terminal = arguments.value("tty", false);
  process.head_bytes = process.tail_bytes = context.result_budget_bytes / 2;
  const Verdict verdict = co_await may_run(process.argv.back(), context);
  if (!verdict.allowed) co_return error_result(call, verdict.why);
  if (background) co_return co_await start(std::move(call), std::move(process), context);
  co_return co_await run(std::move(call), std::move(process), context);
}

asio::awaitable<ToolResult> ShellTool::run(ToolCall call, sandbox::ProcessSpec process,
                                           ToolContext& context) {
  process.spill = spill_file(context, file_name_of(call.id));
  if (context.on_output) {
    process.on_output = [stream = std::make_shared<Utf8Stream>(), output = context.on_output](
                            std::string_view bytes) { output(stream->push(bytes)); };
  }
  const auto deadline = std::chrono::duration_cast<std::chrono::seconds>(process.deadline);
  std::filesystem::path spill = process.spill;
  sandbox::ProcessResult done = co_await context.sandbox.run(std::move(process));
  if (done.tail.empty() && !spill.empty()) {  // all of it is in the result
    std::error_code ignored;
    std::filesystem::remove(spill, ignored);
    spill.clear();
  }
  for (std::string& line : jobs_.news()) done.notices.push_back(std::move(line));
  const ShellTextOptions options{deadline, context.result_budget_bytes, spill.string(), {}};
  std::string text = shell_text(done, options);
  co_return ToolResult{call.id, std::move(text), !done.exit_code.has_value()};
}

asio::awaitable<ToolResult> ShellTool::start(ToolCall call, sandbox::ProcessSpec process,
                                             ToolContext& context) {
  std::vector<std::string> notices = jobs_.running();
  if (jobs_.full()) {
    std::string text = "as many jobs run as may; stop one first:";
    for (const std::string& line : notices) text += "\n" + line;
    co_return error_result(call, text);
  }
  auto job = std::make_shared<Job>();
  job->command = process.argv.back();
  job->has_terminal = process.terminal;
  job->started = std::chrono::steady_clock::now();
  job->spill = spill_file(context, "job-" + std::to_string(jobs_.next_number()));
  job->on_output = context.on_output;
  process.spill = job->spill;
  process.open_input = !process.terminal;
  process.on_output = [weak = std::weak_ptr(job)](std::string_view bytes) {
    const auto job = weak.lock();
    if (!job) return;
    const std::string text = job->text.push(bytes);
    if (job->on_output) job->on_output(text);
  };
  job->process = co_await context.sandbox.start(std::move(process));
  jobs_.add(job);
  for (std::string& line : jobs_.news()) notices.push_back(std::move(line));
  const auto until = std::chrono::steady_clock::now() + kLook;
  std::string text = co_await job_text(job, until, context.result_budget_bytes, std::move(notices));
  job->on_output = nullptr;
  if (job->process.ended()) jobs_.forget(job->number);
  co_return ToolResult{call.id, std::move(text), false};
}

asio::awaitable<ToolResult> ShellTool::look_after(ToolCall call, ToolContext& context) {
  const auto arguments = nlohmann::json::parse(call.arguments);
  const int number = number_of(arguments["job"], std::numeric_limits<int>::max());
  const std::shared_ptr<Job> job = jobs_.find(number);
  std::vector<std::string> notices = jobs_.running(number);
  if (!job) {
    std::string text = "there is no job " + arguments["job"].dump() +
                       "; jobs end with the session that started them.";
    for (const std::string& line : notices) text += "\n" + line;
    co_return error_result(call, text);
  }
  if (arguments.contains("input") && !job->type(arguments["input"].get<std::string>())) {
    notices.push_back("the input was not taken: the job has ended, or does not read");
  }
  auto until = std::chrono::steady_clock::now() + time_of(arguments, kLook);
  if (arguments.value("stop", false) && !job->process.ended()) {
    job->stopped = true;
    job->process.end();
    until = std::chrono::steady_clock::now() + kStopPatience;
  }
  job->on_output = context.on_output;
  std::string text = co_await job_text(job, until, context.result_budget_bytes, std::move(notices));
  job->on_output = nullptr;
  if (job->process.ended()) jobs_.forget(number);
  co_return ToolResult{call.id, std::move(text), false};
}

}  // namespace

std::unique_ptr<Tool> make_shell_tool() {
  return std::make_unique<ShellTool>();
}

}  // namespace corvid::tools
