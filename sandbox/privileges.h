// What a command gives up just before it starts: capabilities, the way to get them back, and the
// resources beyond its limits.
#pragma once

#include "sandbox/policy.h"

namespace corvid::sandbox {

// No capability in any set, none to be had from a set-user-id program. SandboxError.
void drop_privileges();

// `processes` counts all of this user's in the user namespace. SandboxError.
void enter_limits(const Limits& limits, int processes);

}  // namespace corvid::sandbox
