// The head of a request to a proxy: read, judged and rewritten. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/host_filter.h"

namespace corvid::sandbox {

struct ProxyRequest {
  HostPort where;
  bool tunnel = false;  // CONNECT: bytes go through as they are
  std::string head;     // otherwise what the server gets
};

// Nothing when `head` (with its empty line) is not plainly such a request.
std::optional<ProxyRequest> parse_proxy_request(std::string_view head);

}  // namespace corvid::sandbox
