// The one exception of the sandbox room: a process or file cannot be handled as asked. The message
// says what, where and what to do. A policy refusal is a value, not an exception.
#pragma once

#include <stdexcept>

namespace corvid::sandbox {

class SandboxError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace corvid::sandbox
