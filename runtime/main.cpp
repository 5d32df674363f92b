// Wiring only: parses the command line and hands over.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string_view>

#include "model/error.h"
#include "runtime/commands.h"
#include "runtime/error.h"
#include "sandbox/sandbox.h"

namespace {

using namespace corvid;

int fail(const char* message, int code) {
  std::fprintf(stderr, "corvid: %s\n", message);
  return code;
}

int run(int argc, char** argv) {
  CLI::App app{"Corvid: an agent that runs on your own machine, with the model inside it.",
               "corvid"};
  app.set_version_flag("--version", "corvid " CORVID_VERSION);
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
  runtime::add_logits_command(app);
  runtime::add_render_command(app);
  runtime::add_tokenize_command(app);
  runtime::add_bench_command(app);
  app.footer(
      "\nWithout a subcommand it talks with you: an interactive session in this folder.\n"
      "Start with:           corvid run \"count the files here\"\n"
      "Help on a subcommand: corvid run --help");
  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& end) {
    return end.get_exit_code();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? runtime::kOk : runtime::kUsage;
  }
  return runtime::kOk;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == sandbox::kStubCommand) {
    return sandbox::run_stub(argc, argv);
  }
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write, not our end
  try {
    return run(argc, argv);
  } catch (const runtime::RuntimeError& error) {
    return fail(error.what(), error.code());
  } catch (const model::ModelError& error) {
    return fail(error.what(), runtime::kModelError);
  } catch (const std::exception& error) {
    return fail(error.what(), runtime::kFailed);
  }
}
