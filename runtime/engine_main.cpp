// The engine without the agent: what can be built where there is no sandbox yet, as on macOS.
#include <CLI/CLI.hpp>

#include "runtime/commands.h"
#include "runtime/program.h"

int main(int argc, char** argv) {
  using namespace corvid;
  CLI::App app{"Corvid's engine, without the agent.", "corvid_engine"};
  app.require_subcommand(1);
  runtime::add_devices_command(app);
  runtime::add_bench_command(app);
  runtime::add_logits_command(app);
  return runtime::run_program(app, argc, argv);
}
