// corvid run "task", and what it shares with corvid resume.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstring>
#include <iostream>
#include <iterator>
#include <sstream>

#include "model/text/chat_format.h"
#include "runtime/commands.h"
#include "runtime/common_flags.h"
#include "runtime/gpu_flags.h"
#include "runtime/lone_agent.h"
#include "runtime/sinks.h"
#include "runtime/terminal_output.h"
#include "runtime/terminal_sink.h"
#include "sandbox/host_filter.h"
#include "tools/text.h"

namespace corvid::runtime {
namespace {

constexpr const char* kExamples = R"(
Examples:
  corvid run "count the lines of all .py files here"
  corvid run --model ~/models/V3.2.gguf "find out why the tests fail, and fix it"
  corvid run --model https://api.deepseek.com "review the last commit"
  corvid run --allow-net=pypi.org "install what requirements.txt wants, into .venv"
  git diff | corvid run -            the task is read from standard input
  corvid run --json "..." | jq .     one event a line, for programs

The answer goes to standard output, everything else to standard error. Ctrl-C stops the turn and
keeps everything; `corvid resume` goes on.
Exit codes: 0 done, 1 failed, 2 usage, 3 model error, 4 --max-steps reached, 5 context full,
130 interrupted.)";

// Says so when reading a model takes more than a moment.
std::function<void(double)> loading_line() {
  using std::chrono::steady_clock;
  return [start = steady_clock::now(), shown = -1](double fraction) mutable {
    const int percent = static_cast<int>(fraction * 100);
    if (steady_clock::now() - start < std::chrono::seconds(1) || percent / 10 == shown) return;
    shown = percent / 10;
    std::cerr << "reading the model: " << percent << "%\n";
  };
}

}  // namespace

void allow_hosts(const std::string& list, SandboxSettings& settings) {
  if (list == "*") settings.network = true;
  if (list.empty() || list == "*") return;
  std::istringstream hosts(list);
  for (std::string host; std::getline(hosts, host, ',');) {
    if (!sandbox::parse_host_rule(host)) {
      throw RuntimeError(
          "--allow-net takes hosts like example.com, *.example.com or "
          "example.com:8080; `" +
              host + "` is none.",
          kUsage);
    }
    settings.hosts.push_back(host);
  }
}

AgentOptions CommonFlags::agent_options() const {
  AgentOptions options;
  options.model = model;
  options.gpu = gpu;
  options.chat_format = chat_format;
  options.cwd = cwd;
  options.settings = load_settings(settings_file());
  Settings& settings = options.settings;
  if (!backend.empty()) settings.backend = backend;
  if (think == "on") settings.thinking = model::Thinking::on;
  if (think == "off") settings.thinking = model::Thinking::off;
  if (max_steps != 0) settings.max_steps = max_steps;
  if (sandbox == "on") settings.sandbox.enabled = true;
  if (sandbox == "off") settings.sandbox.enabled = false;
  allow_hosts(allow_net, settings.sandbox);
  settings.sandbox.writable.insert(settings.sandbox.writable.end(), writable.begin(),
                                   writable.end());
  options.mcp_files = mcp;
  options.on_loading = loading_line();
  options.on_notice = print_notice;
  return options;
}

std::string chat_format_help() {
  std::string names;
  for (std::string_view name : model::ChatFormat::names()) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return "How a model file is spoken to; without it as the file says (" + names + ")";
}

void print_notice(const std::string& text) {
  std::cerr << text << "\n";
}

void add_model_flags(CLI::App& command, CommonFlags& flags) {
  command
      .add_option("--model", flags.model,
                  "A GGUF file or a URL (https://host/v1); without it the built-in model")
      ->type_name("FILE|URL");
  command
      .add_option("--backend", flags.backend,
                  "What computes a local model: auto, cpu, vulkan or vulkan:N (corvid devices)")
      ->type_name("NAME");
  add_gpu_flags(command, flags.gpu);
  command.add_option("--chat-format", flags.chat_format, chat_format_help())->type_name("NAME");
  command.add_option("--cwd", flags.cwd, "The workspace; without it the current folder")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory);
  command.add_option("--think", flags.think, "Whether the model reasons before it answers")
      ->type_name("on|off")
      ->check(CLI::IsMember({"on", "off"}));
  command.add_option("--max-steps", flags.max_steps, "Replies of the model before it is stopped")
      ->type_name("N")
      ->check(CLI::Range(1, 100'000));
  command.add_flag("--allow-net{*}", flags.allow_net,
                   "Let tools reach the network, or some hosts: --allow-net=pypi.org,*.github.com");
  command.add_option("--writable", flags.writable, "A folder that tools may write, too")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory);
  command.add_option("--mcp", flags.mcp, "Use the MCP servers that this file names")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  command.add_option("--sandbox", flags.sandbox, "off: tools run with all your rights")
      ->type_name("on|off")
      ->check(CLI::IsMember({"on", "off"}));
}

void add_common_flags(CLI::App& command, CommonFlags& flags) {
  add_model_flags(command, flags);
  command.add_flag("--json", flags.json, "Print every event as one line of JSON");
  command.add_flag("--stats", flags.stats, "Print what every step cost in tokens");
}

std::string read_task(const std::string& argument) {
  if (argument != "-") return tools::escape_invalid(argument);
  std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return tools::escape_invalid(text);
}

void run_task(const CommonFlags& flags, AgentOptions options, const std::string& task) {
  if (task.empty()) throw RuntimeError("The task is empty.", kUsage);
  JsonSink json(STDOUT_FILENO);
  PlainSink plain(STDOUT_FILENO, STDERR_FILENO);
  TerminalOutput screen(STDOUT_FILENO);
  TerminalSink terminal(screen);
  StatsSink stats(STDERR_FILENO);
  EventSink* sink = &plain;
  if (isatty(STDOUT_FILENO)) sink = &terminal;
  if (flags.json) sink = &json;
  LoneAgent lone(std::move(options));
  if (flags.stats) lone.agent().events().add(stats);
  lone.agent().begin(*sink);
  const Outcome outcome = lone.run(task);
  if (outcome.code == kInterrupted) print_notice(outcome.message);
  if (outcome.code != kOk) throw CLI::RuntimeError(outcome.code);
  if (const int problem = flags.json ? json.problem() : plain.problem()) {
    throw RuntimeError(std::string("The answer cannot be written: ") + std::strerror(problem) +
                       ". `corvid show` prints it.");
  }
}

void add_run_command(CLI::App& app) {
  struct Arguments {
    CommonFlags flags;
    std::string task;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("run", "Do a task, print the answer, and end");
  command->add_option("task", arguments->task, "What to do; - reads it from standard input")
      ->required();
  add_common_flags(*command, arguments->flags);
  command->footer(kExamples);
  command->callback([arguments] {
    run_task(arguments->flags, arguments->flags.agent_options(), read_task(arguments->task));
  });
}

}  // namespace corvid::runtime
