// Which hosts a command may reach through the proxy. Pure functions; any thread.
//
// A name is parsed once, into one spelling, and everything that is not plainly a name or an address
// is refused: no blanks, NULs, non-ASCII letters (an IDN comes as xn--...), and no number that some
// resolver would take for an address.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corvid::sandbox {

struct HostPort {
  std::string host;  // canonical; an IPv6 address without brackets
  int port = 0;
};
// "example.com", "Example.COM.", "10.0.0.1" or "[::1]", in its one spelling.
std::optional<std::string> canonical_host(std::string_view text);
// "example.com:8080", "[::1]:80". Without a port `default_port`; 0: there must be one.
std::optional<HostPort> parse_host_port(std::string_view text, int default_port = 0);
std::string print(const HostPort& where);

// "example.com" and "*.example.com" (the names below it) mean ports 80 and 443; "example.com:8080"
// means that port.
struct HostRule {
  std::string host;
  bool below = false;
  int port = 0;  // 0: 80 and 443
};
std::optional<HostRule> parse_host_rule(std::string_view text);
bool allows(const std::vector<HostRule>& rules, const HostPort& where);

// An address of this machine, of its networks, or of none: what a name of the internet must not
// resolve to.
bool is_local_address(const boost::asio::ip::address& address);

}  // namespace corvid::sandbox
