// API keys: where they come from, and that they go nowhere but into a request.
//
// A key comes from the environment or from the file `keys` in the configuration folder, one
// "HOST KEY" a line, which must belong to the user and be readable by no one else. Any thread.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "plugins/secret.h"

namespace corvid::runtime {

using plugins::Secret;

struct Credential {
  Secret key;
  std::string origin;  // "DEEPSEEK_API_KEY" or the file, for messages; empty: there is no key
};

struct CredentialSources {
  std::string host;                // "api.deepseek.com", with the port where the URL has one
  std::string variable;            // from the settings; empty: the usual ones
  std::filesystem::path key_file;  // need not exist
  std::function<const char*(const char*)> environment;  // null: the process's own
};

// RuntimeError (kUsage) when the key file can be read by others, or the variable that the settings
// name is not set.
Credential find_credential(const CredentialSources& sources);

}  // namespace corvid::runtime
