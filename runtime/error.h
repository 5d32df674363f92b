// The one exception of the runtime room: settings, a model that cannot be reached, a session that
// does not exist. Carries the exit code that the program ends with.
#pragma once

#include <stdexcept>
#include <string>

namespace corvid::runtime {

// Published exit codes (README).
enum ExitCode : int {
  kOk = 0,
  kFailed = 1,         // the task could not be finished
  kUsage = 2,          // bad command line or settings
  kModelError = 3,     // the model cannot be loaded, reached or understood
  kStepLimit = 4,      // --max-steps reached
  kContextFull = 5,    // the context is full
  kInterrupted = 130,  // Ctrl-C
};

class RuntimeError : public std::runtime_error {
 public:
  explicit RuntimeError(const std::string& message, ExitCode code = kFailed)
      : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

}  // namespace corvid::runtime
