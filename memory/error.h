// The one exception of the memory room: the database cannot be used as asked (corrupt, newer
// version, disk full, locked). The message names the file and what to do.
#pragma once

#include <stdexcept>

namespace corvid::memory {

class MemoryError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace corvid::memory
