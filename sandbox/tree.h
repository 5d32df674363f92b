// Ending a tree of processes that has no PID namespace of its own: by walking /proc. Used by the
// stub, which adopts what its children leave behind (PR_SET_CHILD_SUBREAPER).
#pragma once

#include <sys/types.h>

#include <vector>

namespace corvid::sandbox {

// All living descendants of `root`, not through the processes in `except`.
std::vector<pid_t> descendants(pid_t root, const std::vector<pid_t>& except = {});

// Threads of this user on the machine, as RLIMIT_NPROC counts them.
int count_processes();

// Sends `signal` to every descendant.
void signal_descendants(pid_t root, int signal, const std::vector<pid_t>& except = {});

// Kills until none is left, or after some seconds of trying (a process in an uninterruptible
// system call). Reaps the caller's children, except `except`, when root is the caller.
void kill_descendants(pid_t root, const std::vector<pid_t>& except = {});

}  // namespace corvid::sandbox
