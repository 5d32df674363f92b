// The system call filter (seccomp): what a command may not ask of the kernel. Compiled once by the
// stub; each command enters it last.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace corvid::sandbox {

struct FilterScope {
  bool inet = false;           // TCP and UDP sockets: a network is allowed, or it is a private one
  bool unix_sockets = false;   // those of others cannot be reached
  bool own_processes = false;  // only its own can be seen: debuggers may work
};

// SandboxError when the filter cannot be made.
std::vector<sock_filter> compile_filter(const FilterScope& scope);

// Needs no_new_privs. SandboxError.
void enter_filter(const std::vector<sock_filter>& filter);

}  // namespace corvid::sandbox
