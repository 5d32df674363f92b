// What JsonGrammar keeps of a JSON Schema.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/text/json_grammar.h"
#include "model/text/json_text.h"

namespace corvid::model {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxNodes = 4096;
constexpr int kMaxSchemaDepth = 32;
constexpr std::size_t kMaxChoices = 1024;
constexpr std::size_t kMaxMembers = 64;

std::uint8_t type_named(const std::string& name) {
  if (name == "string") return JsonGrammar::kString;
  if (name == "integer") return JsonGrammar::kInteger;
  if (name == "number") return JsonGrammar::kInteger | JsonGrammar::kNumber;
  if (name == "boolean") return JsonGrammar::kBoolean;
  if (name == "null") return JsonGrammar::kNull;
  if (name == "array") return JsonGrammar::kArray;
  if (name == "object") return JsonGrammar::kObject;
  return 0;
}

std::uint8_t types_of(const Json& schema) {
  std::uint8_t types = 0;
  if (const auto type = schema.find("type"); type != schema.end()) {
    for (const Json& name : type->is_array() ? *type : Json::array({*type})) {
      if (name.is_string()) types |= type_named(name.get<std::string>());
    }
  } else if (schema.contains("properties")) {
    types = JsonGrammar::kObject;
  } else if (schema.contains("items")) {
    types = JsonGrammar::kArray;
  }
  return types ? types : static_cast<std::uint8_t>(JsonGrammar::kAny);
}

std::uint8_t types_of_choices(const std::vector<std::string>& choices) {
  std::uint8_t types = 0;
  for (const std::string& choice : choices) {
    types |= choice[0] == '"' ? JsonGrammar::kString : JsonGrammar::kAny & ~JsonGrammar::kString;
  }
  return types;
}

void sort_unique(std::vector<std::string>& texts) {
  std::ranges::sort(texts);
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
}

}  // namespace

JsonGrammar::JsonGrammar(std::string_view forbidden) : forbidden_(forbidden), nodes_(1) {}

std::uint16_t JsonGrammar::add(const Json& schema, const Json& root) {
  if (!schema.is_object() || schema.empty() || depth_ == kMaxSchemaDepth) return 0;
  if (const auto reference = schema.find("$ref"); reference != schema.end()) {
    return reference->is_string() ? add_reference(reference->get<std::string>(), root) : 0;
  }
  if (nodes_.size() == kMaxNodes) return 0;
  const auto index = static_cast<std::uint16_t>(nodes_.size());
  nodes_.emplace_back();
  ++depth_;
  Node node;
  fill(node, schema, root);
  --depth_;
  nodes_[index] = std::move(node);
  return index;
}

// Named schemas may contain themselves: the number is known before the schema is.
std::uint16_t JsonGrammar::add_reference(const std::string& reference, const Json& root) {
  if (const auto known = references_.find(reference); known != references_.end()) {
    return known->second;
  }
  if (!reference.starts_with("#/") || nodes_.size() == kMaxNodes) return 0;
  const Json* target = nullptr;
  try {
    target = &root.at(Json::json_pointer(reference.substr(1)));
  } catch (const Json::exception&) {
    return 0;  // names nothing: anything may come
  }
  const auto index = static_cast<std::uint16_t>(nodes_.size());
  references_[reference] = index;
  nodes_.emplace_back();
  const std::uint16_t found = add(*target, root);
  nodes_[index] = Node(nodes_[found]);
  return index;
}

void JsonGrammar::fill(Node& node, const Json& schema, const Json& root) {
  node.types = types_of(schema);
  for (const char* key : {"anyOf", "oneOf", "allOf"}) {
    const auto alternatives = schema.find(key);
    if (alternatives == schema.end() || !alternatives->is_array()) continue;
    if (key == std::string_view("allOf") && alternatives->size() != 1) continue;
    fill_union(node, *alternatives, root);
  }
  Json listed = Json::array();
  if (schema.contains("const")) listed.push_back(schema["const"]);
  if (schema.contains("enum") && schema["enum"].is_array()) listed = schema["enum"];
  if (!listed.empty() && listed.size() <= kMaxChoices) {
    node.choices.clear();
    for (const Json& value : listed) node.choices.push_back(print_json(value.dump()));
    sort_unique(node.choices);
    node.types = types_of_choices(node.choices);
  }
  const bool unwritable = std::ranges::any_of(node.choices, [this](const std::string& choice) {
    return choice.find(forbidden_) != choice.npos;
  });
  if (unwritable) node.choices.clear();
  if (const auto items = schema.find("items"); items != schema.end()) {
    node.items = add(*items, root);
  }
  if (schema.contains("properties")) fill_members(node, schema, root);
  const auto others = schema.find("additionalProperties");
  if (node.names.empty() && others != schema.end()) node.items = add(*others, root);
}

// The types of all alternatives; more than that only when one of them is not null.
void JsonGrammar::fill_union(Node& node, const Json& alternatives, const Json& root) {
  std::uint8_t types = 0;
  int n_not_null = 0;
  bool all_listed = true;
  std::vector<std::string> choices;
  Node only;
  for (const Json& alternative : alternatives) {
    const Node found = nodes_[add(alternative, root)];
    types |= found.types;
    if (found.types == kNull && found.choices.empty()) {
      choices.push_back("null");
      continue;
    }
    ++n_not_null;
    all_listed = all_listed && !found.choices.empty();
    choices.insert(choices.end(), found.choices.begin(), found.choices.end());
    only = found;
  }
  if (types == 0) return;
  if (n_not_null == 1) node = std::move(only);
  node.types = types;
  node.choices.clear();
  if (n_not_null > 0 && all_listed) {
    sort_unique(choices);
    node.choices = std::move(choices);
  }
}

void JsonGrammar::fill_members(Node& node, const Json& schema, const Json& root) {
  const Json& properties = schema["properties"];
  if (!properties.is_object() || properties.size() > kMaxMembers) return;
  std::vector<std::pair<std::string, std::string>> names;  // as JSON, as they are
  for (const auto& [name, value] : properties.items()) {
    names.emplace_back(json_quote(name).substr(1), name);
  }
  std::ranges::sort(names);
  const Json required = schema.value("required", Json::array());
  for (std::size_t i = 0; i < names.size(); ++i) {
    node.names.push_back(names[i].first);
    node.values.push_back(add(properties[names[i].second], root));
    const bool is_required = std::ranges::find(required, Json(names[i].second)) != required.end();
    if (is_required) node.required |= std::uint64_t{1} << i;
  }
}

}  // namespace corvid::model
