// Entering namespaces, one after the other, each by really trying it. Stub only (single-threaded).
#pragma once

#include <sys/types.h>

#include <string_view>

#include "sandbox/descriptor.h"

namespace corvid::sandbox {

// Identity inside is never root: an ordinary user keeps its id, root becomes kInsideUser there
// while its files stay its own outside. Throws SandboxError with nothing changed, or BrokenRung
// when it failed half-way.
void enter_user_namespace();

// Leaves the namespace of `flag` (CLONE_NEW...) for a new one. Throws SandboxError.
void enter_namespace(int flag);

// Gives a new network namespace its own loopback.
void raise_loopback();

// A socket that listens on 127.0.0.1. SandboxError.
Descriptor listen_on_loopback(int port);

// fork() into further new namespaces.
pid_t fork_into(int flags);

}  // namespace corvid::sandbox
