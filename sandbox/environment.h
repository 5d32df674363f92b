// The environment that commands get: an allow-list of this program's own, so that no key or token
// reaches a tool, and what keeps tools from asking questions. Nothing else is inherited.
#pragma once

#include <map>
#include <string>

namespace corvid::sandbox {

// `home` is HOME inside; empty: as outside.
std::map<std::string, std::string> command_environment(const std::string& home);

// A .gitconfig for a private home: who commits (as the user's own says), and nothing else of it.
std::string private_git_config();

}  // namespace corvid::sandbox
