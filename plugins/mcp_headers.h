// What a request over HTTP says in its headers besides the usual: names and arguments, so that
// whatever stands in between can route it. Source: MCP 2026-07-28, "Streamable HTTP", sections
// "Request Metadata" and "Custom Headers from Tool Parameters". Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corvid::plugins {

std::string base64(std::string_view bytes);
// "Name: value", encoded where a value is no text for a header.
std::string header_line(std::string_view name, const std::string& value);
bool is_header_name(std::string_view name);

bool is_http_url(std::string_view url);  // http or https, a host, no key in it
bool is_loopback(std::string_view url);

// An argument that goes into a header, too: `x-mcp-header` in a tool's schema.
struct McpMirror {
  std::string header;             // "Mcp-Param-Region"
  std::vector<std::string> path;  // of the argument
  bool operator==(const McpMirror&) const = default;
};
// Nothing when the schema uses x-mcp-header where or how it may not.
std::optional<std::vector<McpMirror>> read_mirrors(const nlohmann::ordered_json& schema);
std::vector<std::string> mirror(const std::vector<McpMirror>& mirrors,
                                const nlohmann::ordered_json& arguments);

}  // namespace corvid::plugins
