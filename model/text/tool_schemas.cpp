#include "model/text/tool_schemas.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/error.h"

namespace corvid::model {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxParameters = 64;

// Names stand between quotes or tags, without escaping.
bool is_writable(std::string_view name) {
  return !name.empty() &&
         std::ranges::none_of(name, [](unsigned char c) { return c < 0x20 || c == '"'; });
}

Json parse(const ToolSpec& spec) {
  try {
    return Json::parse(spec.parameters);
  } catch (const Json::exception& error) {
    throw ModelError("the schema of tool '" + spec.name + "' is not JSON: " + error.what());
  }
}

}  // namespace

ToolSchemas::ToolSchemas(std::span<const ToolSpec> tools, std::string_view forbidden)
    : json_(forbidden) {
  for (const ToolSpec& spec : tools) {
    if (is_writable(spec.name)) tools_.push_back(read(spec));
  }
}

ToolSchema ToolSchemas::read(const ToolSpec& spec) {
  const Json root = parse(spec);
  ToolSchema tool{spec.name, {}, 0};
  const Json none = Json::object();
  const Json& properties = root.contains("properties") ? root["properties"] : none;
  const Json& required = root.contains("required") ? root["required"] : none;
  // Whatever else the schema says, the arguments are an object, and those of no parameters empty.
  Json object = root.is_object() ? root : none;
  object["type"] = "object";
  if (properties.empty()) object = {{"const", none}};
  tool.arguments = json_.add(object, root);
  const auto is_required = [&](const std::string& name) {
    return std::ranges::find(required, Json(name)) != required.end();
  };
  for (bool now : {true, false}) {
    for (const auto& [name, schema] : properties.items()) {
      if (is_required(name) != now || !is_writable(name)) continue;
      if (tool.parameters.size() == kMaxParameters) break;
      tool.parameters.push_back({name, json_.add(schema, root), now});
    }
  }
  return tool;
}

std::uint16_t ToolSchemas::schema_of(std::string_view tool, std::string_view parameter) const {
  const auto found = std::ranges::find(tools_, tool, &ToolSchema::name);
  if (found == tools_.end()) return 0;
  const auto known = std::ranges::find(found->parameters, parameter, &ToolParameter::name);
  return known == found->parameters.end() ? 0 : known->schema;
}

}  // namespace corvid::model
