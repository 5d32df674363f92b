// corvid without a command: the interactive session.
#include <CLI/CLI.hpp>
#include <memory>

#include "runtime/commands.h"
#include "runtime/common_flags.h"
#include "runtime/interactive.h"

namespace corvid::runtime {

void add_interactive_session(CLI::App& app) {
  struct Arguments {
    CommonFlags flags;
    std::string resumed;
  };
  auto arguments = std::make_shared<Arguments>();
  add_model_flags(app, arguments->flags);
  CLI::Option* resume = app.add_option("--resume", arguments->resumed,
                                       "Go on with this session; without an ID, the last one")
                            ->type_name("[ID]")
                            ->expected(0, 1);
  app.parse_complete_callback([&app] {
    const auto commands = app.get_subcommands();
    if (commands.empty()) return;
    for (const CLI::Option* option : app.get_options()) {
      if (option->count() == 0) continue;
      throw RuntimeError(option->get_name() + " goes after the command: corvid " +
                             commands.front()->get_name() + " " + option->get_name() + " ...",
                         kUsage);
    }
  });
  app.callback([&app, arguments, resume] {
    if (!app.get_subcommands().empty()) return;
    AgentOptions options = arguments->flags.agent_options();
    if (resume->count() > 0) options.id = arguments->resumed;
    const ExitCode code = converse(std::move(options));
    if (code != kOk) throw CLI::RuntimeError(code);
  });
}

}  // namespace corvid::runtime
