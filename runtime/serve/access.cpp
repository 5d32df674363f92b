#include "runtime/serve/access.h"

#include <xxhash.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>

#include "runtime/error.h"

namespace corvid::runtime {
namespace {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

bool is_address(std::string_view text) {
  boost::system::error_code error;
  boost::asio::ip::make_address(std::string(text), error);
  return !error;
}

// "[::1]:8080" -> "::1"; "localhost:8080" -> "localhost"; empty: this names no host.
std::string host_name(std::string_view host) {
  std::string_view port;
  std::string_view name = host;
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == host.npos) return {};
    name = host.substr(1, end - 1);
    port = host.substr(end + 1);
  } else {
    name = host.substr(0, host.find(':'));
    port = host.substr(name.size());
  }
  const bool port_is_fine =
      port.empty() || (port[0] == ':' && std::ranges::all_of(port.substr(1), [](unsigned char c) {
                         return std::isdigit(c);
                       }));
  return port_is_fine ? lower_case(name) : "";
}

bool host_is_allowed(const AccessRules& rules, std::string_view host) {
  const std::string name = host_name(host);
  return name == "localhost" || is_address(name) ||
         std::ranges::find(rules.hosts, name) != rules.hosts.end();
}

bool origin_is_allowed(const AccessRules& rules, std::string_view origin, std::string_view host) {
  return std::ranges::find(rules.origins, origin) != rules.origins.end() ||
         origin == "http://" + std::string(host);
}

// Takes as long for every `given` of the same length.
bool equal(std::string_view key, std::string_view given) {
  unsigned difference = key.size() != given.size();
  for (std::size_t i = 0; i < given.size(); ++i) {
    difference |=
        static_cast<unsigned char>(key[i % key.size()]) ^ static_cast<unsigned char>(given[i]);
  }
  return difference == 0;
}

std::string_view given_key(const HttpRequest& request) {
  const std::string_view bearer = request.header("authorization").value_or("");
  constexpr std::string_view kBearer = "bearer ";
  if (lower_case(bearer.substr(0, kBearer.size())) == kBearer) {
    return bearer.substr(kBearer.size());
  }
  return request.header("x-api-key").value_or("");
}

// rules.keys.size(): none of them.
std::size_t matching_key(const AccessRules& rules, const HttpRequest& request) {
  const std::string_view given = given_key(request);
  std::size_t found = rules.keys.size();
  for (std::size_t i = 0; i < rules.keys.size(); ++i) {
    if (equal(rules.keys[i], given)) found = i;  // all are compared, whichever it is
  }
  return found;
}

bool is_json(std::string_view type) {
  return lower_case(type.substr(0, type.find(';'))).starts_with("application/json");
}

}  // namespace

std::vector<std::string> keys_in(std::string_view text) {
  std::vector<std::string> keys;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view key = text.substr(0, end);
    if (key.ends_with('\r')) key.remove_suffix(1);
    if (!key.empty()) keys.emplace_back(key);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return keys;
}

void require_keys(const AccessRules& rules, const std::string& host) {
  if (!rules.keys.empty() || is_loopback(host)) return;
  throw RuntimeError(
      "Anybody who reaches " + host +
          " could use this server: set a key (--api-key-file, or CORVID_SERVE_KEY), "
          "or listen on 127.0.0.1.",
      kUsage);
}

std::optional<ApiError> refusal(const AccessRules& rules, const HttpRequest& request) {
  const auto host = request.header("host");
  if (!host || host->empty()) return ApiError(400, "the request names no host");
  if (!host_is_allowed(rules, *host)) {
    return ApiError(403, "this server does not answer for the host '" + std::string(*host) +
                             "'; `corvid serve --allow-host NAME` lets it");
  }
  const auto origin = request.header("origin");
  if (!origin || (!origin->empty() && !origin_is_allowed(rules, *origin, *host))) {
    return ApiError(403,
                    "pages of this origin may not use this server; `corvid serve "
                    "--allow-origin URL` lets them");
  }
  if (lower_case(request.header("upgrade").value_or("")) == "websocket") {
    return ApiError(403, "this server has no WebSockets");
  }
  if (request.method == "OPTIONS") return std::nullopt;  // says what a page may send; no key in it
  if (request.path == "/health") return std::nullopt;
  if (!rules.keys.empty() && matching_key(rules, request) == rules.keys.size()) {
    return ApiError(401, "a key is needed: Authorization: Bearer KEY, or X-Api-Key: KEY")
        .with("WWW-Authenticate", "Bearer");
  }
  if (request.method == "POST" && !is_json(request.header("content-type").value_or(""))) {
    return ApiError(415, "the body has to be JSON, with Content-Type: application/json");
  }
  return std::nullopt;
}

HttpHeaders cors_headers(const HttpRequest& request) {
  const std::string origin(request.header("origin").value_or(""));
  if (origin.empty()) return {};
  HttpHeaders headers{{"Access-Control-Allow-Origin", origin}, {"Vary", "Origin"}};
  if (request.method != "OPTIONS") return headers;
  headers.emplace_back("Access-Control-Allow-Methods", "GET, POST");
  // Every SDK has headers of its own; the page is one that may use the server.
  headers.emplace_back("Access-Control-Allow-Headers",
                       request.header("access-control-request-headers").value_or(""));
  headers.emplace_back("Access-Control-Max-Age", "600");
  return headers;
}

std::uint64_t owner_of(const HttpRequest& request) {
  const std::string_view key = given_key(request);
  return key.empty() ? 0 : XXH3_64bits(key.data(), key.size());
}

bool is_loopback(const std::string& host) {
  if (host == "localhost") return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  return !error && address.is_loopback();
}

}  // namespace corvid::runtime
