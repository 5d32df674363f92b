// Main of every test program whose room runs processes: such a program is its own sandbox stub.
#include <gtest/gtest.h>

#include <csignal>
#include <string_view>

#include "sandbox/sandbox.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == corvid::sandbox::kStubCommand) {
    return corvid::sandbox::run_stub(argc, argv);
  }
  std::signal(SIGPIPE, SIG_IGN);  // as in the program
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
