// What keeps a stub from confining commands as told. Stub only.
#pragma once

#include <string>
#include <string_view>

#include "sandbox/error.h"

namespace corvid::sandbox {

// A rung failed half-way: the stub cannot go on and is started again without it.
class BrokenRung : public SandboxError {
 public:
  BrokenRung(std::string_view rung, const std::string& why) : SandboxError(why), rung_(rung) {}
  const std::string& rung() const { return rung_; }

 private:
  std::string rung_;
};

// The rung holds here, but not for what this policy names: nothing may run under it.
class UnmetPolicy : public SandboxError {
  using SandboxError::SandboxError;
};

}  // namespace corvid::sandbox
