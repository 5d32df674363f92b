// The one exception of the plugins room: a plugin cannot be loaded, or a server not used, as asked.
// The message says which, what is wrong and what it should be. The loader turns it into the
// plugin's `problem`, the tool `mcp` into a result.
#pragma once

#include <stdexcept>

namespace corvid::plugins {

class PluginError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace corvid::plugins
