// Wiring only: parses the command line and hands over.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string_view>

#include "model/error.h"
#include "runtime/commands.h"
#include "runtime/error.h"
#include "sandbox/sandbox.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == corvid::sandbox::kStubCommand) {
    return corvid::sandbox::run_stub(argc, argv);
  }
  CLI::App app{"Corvid: an agent that runs on your own machine, with the model inside it.",
               "corvid"};
  app.set_version_flag("--version", "corvid " CORVID_VERSION);
  corvid::runtime::add_sandbox_command(app);
  corvid::runtime::add_doctor_command(app);
  corvid::runtime::add_logits_command(app);
  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) std::fputs(app.help().c_str(), stdout);
    return corvid::runtime::kOk;
  } catch (const CLI::RuntimeError& error) {
    return error.get_exit_code();
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? corvid::runtime::kOk : corvid::runtime::kUsage;
  } catch (const corvid::runtime::RuntimeError& error) {
    std::fprintf(stderr, "corvid: %s\n", error.what());
    return error.code();
  } catch (const corvid::model::ModelError& error) {
    std::fprintf(stderr, "corvid: %s\n", error.what());
    return corvid::runtime::kModelError;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "corvid: %s\n", error.what());
    return corvid::runtime::kFailed;
  }
}
