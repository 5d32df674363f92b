// Who may ask the server: decided from a request's head alone, before any of its body is read.
//
// A web page must not reach a server on its visitor's own machine: its requests carry an Origin,
// and when it had its host name point here they carry that name as Host. So Host has to be an
// address, `localhost` or a name that was allowed; a foreign Origin is refused; and a body has to
// be JSON by its type, which no page sends elsewhere without asking first. With keys, each request
// names one; keys are compared in constant time. Immutable; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/serve/api_error.h"
#include "runtime/serve/http.h"

namespace corvid::runtime {

struct AccessRules {
  std::vector<std::string> keys;     // empty: everybody who can connect
  std::vector<std::string> hosts;    // names besides localhost
  std::vector<std::string> origins;  // "https://app.example.com"
};

// One a line of `text`, whose lines may end as on Windows.
std::vector<std::string> keys_in(std::string_view text);
// RuntimeError when a server that listens on `host` has to have keys, and has none.
void require_keys(const AccessRules& rules, const std::string& host);
// Why the request is refused; nullopt: it may go on.
std::optional<ApiError> refusal(const AccessRules& rules, const HttpRequest& request);
// The headers that let a page read the answer; its origin has been allowed.
HttpHeaders cors_headers(const HttpRequest& request);
// A number that stands for the key that the request names; 0 without one. It is allowed.
std::uint64_t owner_of(const HttpRequest& request);
// Whether nobody but this machine reaches a server that listens on `host`.
bool is_loopback(const std::string& host);

}  // namespace corvid::runtime
