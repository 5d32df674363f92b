// Wiring only: parses the command line and hands over.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string_view>

#include "sandbox/sandbox.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == corvid::sandbox::kStubCommand) {
    return corvid::sandbox::run_stub(argc, argv);
  }
  CLI::App app{"Corvid: an agent that runs on your own machine, with the model inside it.",
               "corvid"};
  app.set_version_flag("--version", "corvid " CORVID_VERSION);
  CLI11_PARSE(app, argc, argv);
  std::fputs(app.help().c_str(), stdout);
  return 0;
}
