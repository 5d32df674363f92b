// Reads git's configuration as git does, to see what it would make git run or read. Pure functions
// over text that may be hostile.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corvid::sandbox {

struct GitSetting {
  std::string name;  // "core.hookspath": section and key in lower case, without a subsection
  std::string value;
};

// Nothing when git would not read it either, or not surely as it is read here.
std::optional<std::vector<GitSetting>> git_settings(std::string_view text);

// True when a repository's configuration holds nothing that makes git run or trust something.
bool is_plain_git_config(std::string_view text);

}  // namespace corvid::sandbox
