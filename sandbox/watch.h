// Looks after the limits that the kernel does not hold for a whole tree of processes: memory, their
// number, and room on the disk. Asked by the keeper several times a second.
#pragma once

#include <cstdint>
#include <string>

#include "sandbox/policy.h"

namespace corvid::sandbox {

class Watch {
 public:
  explicit Watch(const Policy& policy);

  // The processes that this one keeps: all others of its namespace, or its descendants.
  // A sentence when they are beyond a limit, else nothing.
  std::string breach() const;

 private:
  std::uint64_t disk_floor() const;
  std::uint64_t free_bytes() const;

  const Policy& policy_;
  std::uint64_t floor_bytes_;  // of free disk space; 0 when there was less from the start
};

}  // namespace corvid::sandbox
