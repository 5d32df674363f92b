// The process that keeps one command: it starts the command, adopts and reaps whatever that starts,
// watches its limits, and ends all of it when the command ends or when it is told to. Forked from
// the stub; single-threaded; PID 1 of the command's namespace where there is one.
#pragma once

#include <string>
#include <vector>

#include "sandbox/confinement.h"
#include "sandbox/descriptor.h"

namespace corvid::sandbox {

struct Order {
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // NAME=value
  std::string cwd;
  bool terminal = false;  // makes one for it, and sends the other end back
  Descriptor status;      // see wire.h
  Descriptor output;
  Descriptor errors;  // none: as output
  Descriptor input;
  std::vector<Protection> protections;
};

[[noreturn]] void keep(Order order, const Confinement& confinement);

}  // namespace corvid::sandbox
