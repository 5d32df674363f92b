// A command may say anything to the proxy: what comes of it is a host in its one spelling, and a
// head with clean lines and one Host.
#include <cstdint>
#include <cstdlib>

#include "sandbox/proxy_request.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace corvid::sandbox;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto rule = parse_host_rule(bytes)) {
    if (canonical_host(rule->host).value_or(rule->host) != rule->host) std::abort();
  }
  const auto request = parse_proxy_request(bytes);
  if (!request) return 0;
  const auto again = parse_host_port(print(request->where));
  if (!again || again->host != request->where.host) std::abort();
  const std::string& head = request->head;
  if (request->tunnel != head.empty()) std::abort();
  if (!head.empty() && head.find("\r\n\r\n") != head.size() - 4) std::abort();
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '\n' && (i == 0 || head[i - 1] != '\r')) std::abort();
  }
  return 0;
}
