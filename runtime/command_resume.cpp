// corvid resume [ID] ["task"]
#include <CLI/CLI.hpp>

#include "runtime/commands.h"
#include "runtime/common_flags.h"

namespace corvid::runtime {

void add_resume_command(CLI::App& app) {
  struct Arguments {
    CommonFlags flags;
    std::string id, task = "Go on.";
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("resume", "Go on with a session, in its workspace");
  command->add_option("id", arguments->id,
                      "The session, or its first letters; without it the last");
  command->add_option("task", arguments->task, "What to do next; - reads it from standard input")
      ->capture_default_str();
  add_common_flags(*command, arguments->flags);
  command->footer(
      "\nA call that was running when the session broke off is never run again: the model is told "
      "that\nits effects are unknown.");
  command->callback([arguments] {
    AgentOptions options = arguments->flags.agent_options();
    options.id = arguments->id;
    run_task(arguments->flags, std::move(options), read_task(arguments->task));
  });
}

}  // namespace corvid::runtime
