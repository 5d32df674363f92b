// What is common to programs with subcommands: parsing the command line, which runs the subcommand,
// and an exit code with a message on stderr for whatever is thrown.
#pragma once

namespace CLI {
class App;
}

namespace corvid::runtime {

int run_program(CLI::App& app, int argc, char** argv);  // the exit code

}  // namespace corvid::runtime
