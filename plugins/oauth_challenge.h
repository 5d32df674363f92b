// What a server wants before it answers: the header WWW-Authenticate with a Bearer challenge (RFC
// 6750, section 3; RFC 9728, section 5.1). Pure; a server may send any bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace corvid::plugins {

using Scopes = std::vector<std::string>;
Scopes split_scopes(std::string_view text);  // none that is no scope
std::string joined(const Scopes& scopes);
void add_scopes(Scopes& to, const Scopes& more);  // each once

struct AuthChallenge {
  std::string error;              // "invalid_token", "insufficient_scope"
  Scopes scopes;                  // empty: it names none
  std::string resource_metadata;  // where its metadata lies; empty: at the usual places
};
// The first challenge of the scheme Bearer; empty fields when there is none that can be read.
AuthChallenge parse_challenge(std::string_view header);

}  // namespace corvid::plugins
