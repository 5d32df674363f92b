#include "runtime/program.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "model/error.h"
#include "runtime/error.h"

namespace corvid::runtime {
namespace {

int fail(const char* message, int code) {
  std::fprintf(stderr, "corvid: %s\n", message);
  return code;
}

}  // namespace

int run_program(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return kOk;
  } catch (const CLI::RuntimeError& end) {
    return end.get_exit_code();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  } catch (const RuntimeError& error) {
    return fail(error.what(), error.code());
  } catch (const model::ModelError& error) {
    return fail(error.what(), kModelError);
  } catch (const std::exception& error) {
    return fail(error.what(), kFailed);
  }
}

}  // namespace corvid::runtime
