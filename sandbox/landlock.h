// Landlock, to the level this kernel has. Rules are made once by the stub; each command enters
// them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sandbox/descriptor.h"
#include "sandbox/policy.h"

namespace corvid::sandbox {

// The kernel's ABI level, 0 when it has none.
int landlock_abi();

struct LandlockScope {
  bool private_view = false;     // secrets are hidden and /tmp is private: reading is free
  bool private_network = false;  // only loopback can be reached: TCP is free
  std::filesystem::path tmp;     // the private tmp when there is no private view
};

// SandboxError when the kernel refuses.
Descriptor landlock_rules(const Policy& policy, const LandlockScope& scope);

// This process and all it starts, from now on. Needs no_new_privs. SandboxError.
void enter_landlock(const Descriptor& rules);

}  // namespace corvid::sandbox
