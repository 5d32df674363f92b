// The one exception of the plugins room: a plugin cannot be loaded as asked. The message says which
// file, what is wrong and what it should be. The loader turns it into the plugin's `problem`.
#pragma once

#include <stdexcept>

namespace corvid::plugins {

class PluginError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace corvid::plugins
