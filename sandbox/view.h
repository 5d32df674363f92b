// What a sandboxed process sees of the file system: everything read-only, secrets hidden, the
// workspace and a private tmp writable, /dev, /run and /proc small and new. Built once by the stub
// in its own mount namespace; what changes while it runs is laid on top for every command.
#pragma once

#include <string>
#include <vector>

#include "sandbox/descriptor.h"
#include "sandbox/protection.h"
#include "sandbox/setup.h"

namespace corvid::sandbox {

inline constexpr const char* kPrivateHome = "/tmp/home";

// Builds the view and makes it the root of this process. SandboxError when something of it does not
// hold; then this process is of no use any more.
// `listeners` tells, then and later, who listens at a path on the machine.
void build_view(const Setup& setup, const Descriptor& listeners);
// /proc/net/unix of the network that this process is in now.
Descriptor open_listeners();

// In a copy of the mount namespace and, when `new_proc`, as PID 1 of a new PID namespace: a /proc
// of its own, everything protected read-only, and the sockets hidden that came meanwhile.
void finish_view(const Policy& policy, const std::vector<Protection>& protections, bool new_proc,
                 const Descriptor& listeners);

}  // namespace corvid::sandbox
