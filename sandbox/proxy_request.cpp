#include "sandbox/proxy_request.h"

#include <algorithm>
#include <array>

namespace corvid::sandbox {
namespace {

constexpr std::string_view kScheme = "http://";

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

bool is_clean(std::string_view line) {
  return std::none_of(line.begin(), line.end(),
                      [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7F; });
}

// Between us and the client, or replaced by what was decided on.
bool stays_here(std::string_view name) {
  constexpr std::array<std::string_view, 4> kOurs = {"host", "connection", "keep-alive", "upgrade"};
  return name.starts_with("proxy-") || std::find(kOurs.begin(), kOurs.end(), name) != kOurs.end();
}

struct Target {
  std::string_view authority, path;
};

// Of an absolute http address; https goes through CONNECT, and nothing else goes at all.
std::optional<Target> parse_target(std::string_view text) {
  if (lower(text.substr(0, kScheme.size())) != kScheme) return {};
  text.remove_prefix(kScheme.size());
  const std::size_t end = std::min(text.find_first_of("/?#"), text.size());
  return Target{text.substr(0, end), text.substr(end)};
}

// The lines without their ends; nothing when one is not clean.
std::optional<std::vector<std::string_view>> lines_of(std::string_view head) {
  std::vector<std::string_view> lines;
  while (!head.empty()) {
    const std::size_t end = head.find("\r\n");
    if (end == head.npos || !is_clean(head.substr(0, end))) return {};
    if (end > 0) lines.push_back(head.substr(0, end));
    head.remove_prefix(end + 2);
  }
  return lines;
}

}  // namespace

std::optional<ProxyRequest> parse_proxy_request(std::string_view head) {
  const auto lines = lines_of(head);
  if (!lines || lines->empty()) return {};
  const std::string_view first = lines->front();
  const std::size_t one = first.find(' ');
  const std::size_t two = first.rfind(' ');
  if (one == first.npos || one == two) return {};
  const std::string_view method = first.substr(0, one);
  const std::string_view target = first.substr(one + 1, two - one - 1);
  const std::string_view version = first.substr(two + 1);
  if (target.find(' ') != target.npos || (version != "HTTP/1.1" && version != "HTTP/1.0")) {
    return {};
  }
  if (method == "CONNECT") {
    const auto where = parse_host_port(target);
    if (!where) return {};
    return ProxyRequest{*where, true, {}};
  }
  const auto parts = parse_target(target);
  const auto where = parts ? parse_host_port(parts->authority, 80) : std::nullopt;
  if (!where) return {};
  ProxyRequest request{*where, false, {}};
  const std::string slash = parts->path.starts_with('/') ? "" : "/";
  request.head = std::string(method) + " " + slash + std::string(parts->path) + " HTTP/1.1\r\n";
  request.head += "Host: " + print(*where) + "\r\nConnection: close\r\n";
  for (std::size_t i = 1; i < lines->size(); ++i) {
    const std::string_view line = (*lines)[i];
    const std::size_t colon = line.find(':');
    if (colon == line.npos || line.starts_with(' ') || line.starts_with('\t')) return {};
    if (!stays_here(lower(line.substr(0, colon)))) request.head += std::string(line) + "\r\n";
  }
  request.head += "\r\n";
  return request;
}

}  // namespace corvid::sandbox
