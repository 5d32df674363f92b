#include "sandbox/host_filter.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace corvid::sandbox {
namespace {

namespace ip = boost::asio::ip;

constexpr std::size_t kMaxHostBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kMaxLabelBytes && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
         });
}

// Resolvers take "127.1", "0x7f000001" and "017700000001" for addresses; we take none of them.
bool looks_like_a_number(std::string_view label) {
  return label.starts_with("0x") || std::all_of(label.begin(), label.end(), [](unsigned char c) {
           return std::isdigit(c) != 0;
         });
}

std::optional<int> parse_port(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || text.size() > 5) return {};
  if (port < 1 || port > 65535) return {};
  return port;
}

bool is_local_v4(const ip::address_v4& address) {
  struct Range {
    std::uint32_t base;
    int bits;
  };
  constexpr Range kLocal[] = {
      {0x00000000, 8},   // this network
      {0x0A000000, 8},   // private
      {0x64400000, 10},  // shared by a carrier
      {0x7F000000, 8},   // loopback
      {0xA9FE0000, 16},  // link-local; clouds serve credentials at 169.254.169.254
      {0xAC100000, 12},  // private
      {0xC0000000, 24},  // special
      {0xC0A80000, 16},  // private
      {0xC6120000, 15},  // benchmarks
      {0xE0000000, 3}};  // multicast and reserved
  const std::uint32_t number = address.to_uint();
  return std::any_of(std::begin(kLocal), std::end(kLocal), [&](const Range& range) {
    return (number ^ range.base) >> (32 - range.bits) == 0;
  });
}

ip::address_v4 low_v4(const ip::address_v6::bytes_type& bytes, std::size_t at) {
  return ip::address_v4({bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]});
}

bool is_local_v6(const ip::address_v6& address) {
  const auto bytes = address.to_bytes();
  if (address.is_v4_mapped() || address.is_v4_compatible()) return is_local_v4(low_v4(bytes, 12));
  if (bytes[0] == 0x20 && bytes[1] == 0x02) return is_local_v4(low_v4(bytes, 2));  // 6to4
  const bool nat64 = bytes[0] == 0 && bytes[1] == 0x64 && bytes[2] == 0xFF && bytes[3] == 0x9B;
  if (nat64) return is_local_v4(low_v4(bytes, 12));
  return (bytes[0] & 0xE0) != 0x20;  // global unicast is 2000::/3, for now and for us
}

}  // namespace

std::optional<std::string> canonical_host(std::string_view text) {
  boost::system::error_code error;
  if (text.starts_with('[')) {
    if (!text.ends_with(']')) return {};
    const std::string inner(text.substr(1, text.size() - 2));
    if (inner.find_first_of(std::string_view("%\0", 2)) != inner.npos) return {};
    const ip::address_v6 address = ip::make_address_v6(inner, error);
    if (error) return {};
    return address.to_string();
  }
  std::string host(text);
  if (host.ends_with('.')) host.pop_back();
  if (host.empty() || host.size() > kMaxHostBytes) return {};
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  std::string_view rest = host, label;
  for (;;) {
    const std::size_t dot = rest.find('.');
    label = rest.substr(0, dot);
    if (!is_label(label)) return {};
    if (dot == rest.npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (!looks_like_a_number(label)) return host;
  const ip::address_v4 address = ip::make_address_v4(host, error);
  if (error || address.to_string() != host) return {};
  return host;
}

std::optional<HostPort> parse_host_port(std::string_view text, int default_port) {
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.rfind(':');
  const bool has_port = colon != text.npos && (bracket == text.npos || colon > bracket);
  const auto host = canonical_host(has_port ? text.substr(0, colon) : text);
  const auto port = has_port ? parse_port(text.substr(colon + 1)) : std::optional(default_port);
  if (!host || !port || *port == 0) return {};
  return HostPort{*host, *port};
}

std::string print(const HostPort& where) {
  const bool v6 = where.host.find(':') != std::string::npos;
  return (v6 ? "[" + where.host + "]" : where.host) + ":" + std::to_string(where.port);
}

std::optional<HostRule> parse_host_rule(std::string_view text) {
  HostRule rule;
  rule.below = text.starts_with("*.");
  if (rule.below) text.remove_prefix(2);
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.rfind(':');
  if (colon != text.npos && (bracket == text.npos || colon > bracket)) {
    const auto port = parse_port(text.substr(colon + 1));
    if (!port) return {};
    rule.port = *port;
    text = text.substr(0, colon);
  }
  const auto host = canonical_host(text);
  if (!host) return {};
  rule.host = *host;
  boost::system::error_code error;
  ip::make_address(rule.host, error);
  if (rule.below && (!error || rule.host.find('.') == std::string::npos)) return {};  // "*.com"
  return rule;
}

bool allows(const std::vector<HostRule>& rules, const HostPort& where) {
  return std::any_of(rules.begin(), rules.end(), [&](const HostRule& rule) {
    const bool port =
        rule.port == 0 ? where.port == 80 || where.port == 443 : where.port == rule.port;
    const bool host = rule.below ? where.host.ends_with("." + rule.host) : where.host == rule.host;
    return port && host;
  });
}

bool is_local_address(const ip::address& address) {
  return address.is_v4() ? is_local_v4(address.to_v4()) : is_local_v6(address.to_v6());
}

}  // namespace corvid::sandbox
