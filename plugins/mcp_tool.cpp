#include "plugins/mcp_tool.h"

#include <algorithm>

#include "plugins/error.h"
#include "sandbox/error.h"
#include "tools/arguments.h"
#include "tools/text.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;
using tools::ToolCall;
using tools::ToolContext;
using tools::ToolResult;
using tools::ToolSpec;

constexpr std::size_t kListedDescriptionBytes = 160;

// The first sentence or line of a description, on one line.
std::string brief(const std::string& description) {
  std::string text = description.substr(0, description.find_first_of("\r\n"));
  const std::size_t sentence = text.find(". ");
  if (sentence != text.npos) text.resize(sentence + 1);
  if (text.size() > kListedDescriptionBytes) {
    text = std::string(tools::utf8_prefix(text, kListedDescriptionBytes)) + "...";
  }
  return text;
}

ToolSpec spec_of(const std::vector<McpServerSpec>& servers) {
  ordered_json choices = ordered_json::array();
  for (const McpServerSpec& server : servers) choices.push_back(server.name);
  ordered_json parameters = {{"type", "object"},
                             {"properties",
                              {{"server", {{"type", "string"}, {"enum", choices}}},
                               {"tool", {{"type", "string"}}},
                               {"arguments", {{"type", "object"}}}}},
                             {"required", {"server"}},
                             {"additionalProperties", false}};
  return {"mcp",
          "Calls a tool of a server. Without tool lists the server's tools; without arguments "
          "shows what the tool takes.",
          parameters.dump()};
}

class ServersTool : public tools::Tool {
 public:
  ServersTool(std::vector<McpServerSpec> specs, McpPatience patience, const Notice& notice)
      : spec_(spec_of(specs)) {
    for (McpServerSpec& spec : specs) servers_.emplace_back(std::move(spec), patience, notice);
  }
  const ToolSpec& spec() const override { return spec_; }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override;

 private:
  asio::awaitable<ToolResult> answer(McpServer& server, ToolCall call, ToolContext& context);

  ToolSpec spec_;
  std::vector<McpServer> servers_;
};

std::string list_of(const std::vector<McpTool>& tools) {
  std::string text;
  for (const McpTool& tool : tools) text += tool.name + ": " + brief(tool.description) + "\n";
  return text.empty() ? "It has no tools that can be used." : text;
}

std::string description_of(const McpTool& tool) {
  return tool.name + ": " + tool.description + "\nIt takes: " + tool.schema;
}

ToolResult error(const ToolCall& call, const std::string& text) {
  return {call.id, "Error: " + text, true};
}

asio::awaitable<ToolResult> ServersTool::answer(McpServer& server, ToolCall call,
                                                ToolContext& context) {
  const auto arguments = ordered_json::parse(call.arguments);
  const std::vector<McpTool>* known = co_await server.tools(context);
  if (!arguments.contains("tool")) co_return ToolResult{call.id, list_of(*known), false};
  const std::string name = arguments["tool"].get<std::string>();
  const auto tool = std::find_if(known->begin(), known->end(),
                                 [&](const McpTool& one) { return one.name == name; });
  if (tool == known->end()) {
    co_return error(call, "it has no tool " + name + ". Its tools are:\n" + list_of(*known));
  }
  const bool given = arguments.contains("arguments");
  ordered_json passed = given ? arguments["arguments"] : ordered_json::object();
  const tools::ArgumentSchema schema(tool->schema);
  const auto problem = schema.problem(passed.dump());
  if (problem && !given) co_return ToolResult{call.id, description_of(*tool), false};
  if (problem) {
    co_return error(call, name + " was not called. " + *problem + "\nIt takes: " + tool->schema);
  }
  McpResult result = co_await server.call(*tool, std::move(passed), context);
  co_return ToolResult{call.id, std::move(result.text), result.is_error};
}

asio::awaitable<ToolResult> ServersTool::call(ToolCall call, ToolContext& context) {
  const auto arguments = ordered_json::parse(call.arguments);
  const std::string name = arguments["server"].get<std::string>();
  const auto server = std::find_if(servers_.begin(), servers_.end(),
                                   [&](const McpServer& one) { return one.spec().name == name; });
  std::string problem;
  try {
    ToolResult result = co_await answer(*server, call, context);
    result.text = server->redacted(std::move(result.text));
    co_return result;
  } catch (const PluginError& failure) {
    problem = failure.what();
  } catch (const sandbox::SandboxError& failure) {
    problem = failure.what();
  }
  co_return error(call, "the MCP server " + name + ": " + server->redacted(problem));
}

}  // namespace

std::unique_ptr<tools::Tool> make_mcp_tool(std::vector<McpServerSpec> specs, McpPatience patience,
                                           Notice notice) {
  return std::make_unique<ServersTool>(std::move(specs), patience, notice);
}

}  // namespace corvid::plugins
