// Wiring only: parses the command line and hands over.
#include <CLI/CLI.hpp>
#include <csignal>
#include <string_view>

#include "runtime/command_line.h"
#include "runtime/commands.h"
#include "runtime/program.h"
#include "sandbox/sandbox.h"

namespace {

using namespace corvid;

int run(int argc, char** argv) {
  CLI::App app{"Corvid: an agent that runs on your own machine, with the model inside it.",
               "corvid"};
  runtime::set_up_help(app);
  app.set_version_flag("--version", "corvid " CORVID_VERSION, "Print the version");
  app.require_subcommand(0, 1);
  runtime::add_interactive_session(app);
  runtime::add_run_command(app);
  runtime::add_resume_command(app);
  runtime::add_sessions_command(app);
  runtime::add_show_command(app);
  runtime::add_serve_command(app);
  runtime::add_settings_command(app);
  runtime::add_sandbox_command(app);
  runtime::add_plugins_command(app);
  runtime::add_doctor_command(app);
  runtime::add_devices_command(app);
  runtime::add_render_command(app);
  runtime::add_tokenize_command(app);
  runtime::add_logits_command(app);
  runtime::add_bench_command(app);
  for (const char* name : {"render", "tokenize", "logits", "bench"}) {
    app.get_subcommand(name)->group("To look inside");
  }
  app.footer(
      "\nWithout a subcommand it talks with you: an interactive session in this folder.\n"
      "Start with:           corvid run \"count the files here\"\n"
      "Help on a subcommand: corvid run --help");
  return runtime::run_program(app, argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == sandbox::kStubCommand) {
    return sandbox::run_stub(argc, argv);
  }
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write, not our end
  return run(argc, argv);
}
