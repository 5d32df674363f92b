// A rung failed half-way: the stub cannot go on and is started again without it. Stub only.
#pragma once

#include <string>
#include <string_view>

#include "sandbox/error.h"

namespace corvid::sandbox {

class BrokenRung : public SandboxError {
 public:
  BrokenRung(std::string_view rung, const std::string& why) : SandboxError(why), rung_(rung) {}
  const std::string& rung() const { return rung_; }

 private:
  std::string rung_;
};

}  // namespace corvid::sandbox
