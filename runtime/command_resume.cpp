// corvid resume [ID] ["task"]
#include <CLI/CLI.hpp>

#include "runtime/commands.h"
#include "runtime/common_flags.h"

namespace corvid::runtime {

void add_resume_command(CLI::App& app) {
  struct Arguments {
    CommonFlags flags;
    std::string id, task;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("resume", "Go on with a session, in its workspace");
  command->add_option("id", arguments->id,
                      "The session, or its first letters; without it the last");
  command->add_option("task", arguments->task,
                      "What to do next [Go on.]; - reads it from standard input");
  add_common_flags(*command, arguments->flags);
  command->footer(
      "\nA single argument that has a space in it, or is -, is the task.\n"
      "A call that was running when the session broke off is never run again: the model is told "
      "that\nits effects are unknown.");
  command->callback([arguments] {
    const bool is_task = arguments->id == "-" || arguments->id.find(' ') != std::string::npos;
    if (arguments->task.empty() && is_task) std::swap(arguments->id, arguments->task);
    if (arguments->task.empty()) arguments->task = "Go on.";
    AgentOptions options = arguments->flags.agent_options();
    options.id = arguments->id;
    run_task(arguments->flags, std::move(options), read_task(arguments->task));
  });
}

}  // namespace corvid::runtime
