// The environment that commands get: an allow-list of this program's own, so that no key or token
// reaches a tool, and what keeps tools from asking questions. Nothing else is inherited.
#pragma once

#include <map>
#include <string>

namespace corvid::sandbox {

// `home` is HOME inside.
std::map<std::string, std::string> command_environment(const std::string& home);

}  // namespace corvid::sandbox
