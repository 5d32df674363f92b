#include "runtime/program.h"

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>

#include "model/error.h"
#include "runtime/error.h"

namespace corvid::runtime {
namespace {

int fail(const char* message, int code) {
  std::fprintf(stderr, "corvid: %s\n", message);
  return code;
}

// What could not be written was not done. A reader who has gone away wanted no more.
int written(int code) {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return code;
  pollfd reader{STDOUT_FILENO, POLLOUT, 0};
  if (::poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR)) return code;
  return fail("The output cannot be written: is the disk full?", kFailed);
}

// A variable of a script that was empty. `--allow-net=` must not mean `--allow-net`.
void refuse_empty_values(int argc, char** argv) {
  for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with("--") || argument.find('=') != argument.size() - 1) continue;
    throw RuntimeError("There is no value after `" + std::string(argument) + "`.", kUsage);
  }
}

}  // namespace

int run_program(CLI::App& app, int argc, char** argv) {
  try {
    refuse_empty_values(argc, argv);
    app.parse(argc, argv);
    return written(kOk);
  } catch (const CLI::RuntimeError& end) {
    return written(end.get_exit_code());
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
