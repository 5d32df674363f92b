// What an MCP client and a server say to each other: JSON-RPC 2.0, one message a line, and the few
// results that Corvid reads. Pure: a server may send any bytes; what is not understood is nothing.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corvid::plugins {

struct McpMessage {
  enum class Kind { result, error, request, notification };
  Kind kind = Kind::notification;
  std::int64_t id = 0;              // of a result or an error: of what we asked
  nlohmann::ordered_json their_id;  // of a request
  std::string method;               // of a request or a notification
  nlohmann::ordered_json body;      // the result, the error, or the parameters

  std::string error_text() const;  // of an error
};
std::optional<McpMessage> parse_mcp_message(std::string_view line);

// Each ends with a line end.
std::string mcp_request(std::int64_t id, std::string_view method, nlohmann::ordered_json params);
std::string mcp_notification(std::string_view method, nlohmann::ordered_json params);
std::string mcp_refusal(const nlohmann::ordered_json& their_id, int code, std::string_view why);

struct McpTool {
  std::string name;
  std::string description;  // as text for a model, of bounded size
  std::string schema;       // of its arguments
  bool operator==(const McpTool&) const = default;
};
struct McpToolPage {
  std::vector<McpTool> tools;  // those that can be used
  std::string next;            // cursor of the next page; empty: there is none
};
McpToolPage read_tool_page(const nlohmann::ordered_json& result);

struct McpResult {
  std::string text;
  bool is_error = false;
};
McpResult read_call_result(const nlohmann::ordered_json& result);

}  // namespace corvid::plugins
