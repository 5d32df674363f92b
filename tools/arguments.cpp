#include "tools/arguments.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>
#define VALIJSON_USE_EXCEPTIONS 1  // it aborts otherwise
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "tools/error.h"

namespace corvid::tools {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// What stands at a place in a schema.
enum class Part { schema, names, data };  // `names`: an object of schemas by name

Part part_below(Part part, std::string_view key) {
  if (part != Part::schema) return part == Part::names ? Part::schema : Part::data;
  if (key == "const" || key == "enum") return Part::data;
  for (const char* name :
       {"properties", "$defs", "definitions", "dependencies", "dependentSchemas"}) {
    if (key == name) return Part::names;
  }
  return Part::schema;
}

// The schema without what would run a stranger's regular expression. Throws for references that
// valijson would follow without end or out of the document.
json without_patterns(const json& schema, Part part = Part::schema) {
  if (part == Part::data) return schema;
  if (schema.is_array()) {
    json out = json::array();
    for (const json& item : schema) out.push_back(without_patterns(item));
    return out;
  }
  if (!schema.is_object()) return schema;
  json out = json::object();
  for (const auto& [key, value] : schema.items()) {
    const bool is_keyword = part == Part::schema, is_text = value.is_string();
    if (is_keyword && (key == "pattern" || key == "format") && is_text) continue;
    if (is_keyword && key == "patternProperties") continue;
    if (is_keyword && key == "additionalProperties" && schema.contains("patternProperties")) {
      continue;
    }
    if (is_keyword && key == "$ref" && is_text && !value.get<std::string>().starts_with("#/")) {
      throw ToolError("schema: the reference \"" + value.get<std::string>() +
                      "\" does not point into the schema");
    }
    out[key] = without_patterns(value, part_below(part, key));
  }
  return out;
}

// What a reference leads to. Nothing that is data: patterns are left in that.
const json& referred_to(const json& root, const std::string& reference) {
  const auto fail = [&](const char* why) -> const json& {
    throw ToolError("schema: the reference " + json(reference).dump() + why);
  };
  if (reference.find('%') != reference.npos) return fail(" has an escape");
  try {
    json::json_pointer pointer(reference.substr(1));
    const json& target = root.at(pointer);
    std::vector<std::string> keys;
    for (; !pointer.empty(); pointer.pop_back()) keys.push_back(pointer.back());
    Part part = Part::schema;
    for (const json* at = &root; !keys.empty(); keys.pop_back()) {
      if (at->is_object()) part = part_below(part, keys.back());
      at = at->is_object() ? &at->at(keys.back()) : &at->at(std::stoul(keys.back()));
    }
    if (part == Part::data) return fail(" leads to a value");
    return target;
  } catch (const json::exception&) {
    return fail(" leads nowhere");
  }
}

// A chain of references that comes back to itself without passing a value.
void refuse_reference_loops(const json& root, const json& node, Part part = Part::schema) {
  if (part == Part::data) return;
  for (const auto& [key, child] : node.items()) {
    if (!child.is_structured()) continue;
    refuse_reference_loops(root, child, node.is_object() ? part_below(part, key) : part);
  }
  const json* at = &node;
  for (int steps = 0; at->is_object() && at->contains("$ref") && (*at)["$ref"].is_string();) {
    if (++steps > 16) throw ToolError("schema: references go in a circle");
    at = &referred_to(root, (*at)["$ref"].get<std::string>());
  }
}

std::string type_names(const ordered_json& property) {
  if (!property.is_object()) return "any";
  if (const auto choices = property.find("enum"); choices != property.end()) {
    std::string names;
    for (const auto& choice : *choices) names += (names.empty() ? "" : " | ") + choice.dump();
    return names;
  }
  const auto type = property.find("type");
  if (type == property.end()) return "any";
  if (type->is_string()) return type->get<std::string>();
  std::string names;
  for (const auto& name : *type) {
    if (name.is_string()) names += (names.empty() ? "" : " or ") + name.get<std::string>();
  }
  return names;
}

std::string type_name_of(const json& value) {
  if (value.is_number_integer()) return "integer";
  return value.type_name();
}

bool fits_one(const std::string& type, const json& value) {
  if (type == "integer") {
    constexpr double kLargest = 1e15;  // beyond it a number with a fraction looks whole, too
    return value.is_number_integer() ||
           (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>() &&
            std::abs(value.get<double>()) <= kLargest);
  }
  return type == value.type_name();
}

bool fits_type(const ordered_json& property, const json& value) {
  if (!property.is_object() || !property.contains("type")) return true;
  const ordered_json& type = property["type"];
  if (type.is_string()) return fits_one(type.get<std::string>(), value);
  return std::any_of(type.begin(), type.end(), [&](const ordered_json& name) {
    return name.is_string() && fits_one(name.get<std::string>(), value);
  });
}

bool is_required(const ordered_json& schema, const std::string& name) {
  const auto required = schema.find("required");
  return required != schema.end() && required->is_array() &&
         std::find(required->begin(), required->end(), name) != required->end();
}

}  // namespace

int json_depth(std::string_view text) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

struct ArgumentSchema::Parts {
  ordered_json schema;  // as given, for the words
  valijson::Schema compiled;

  std::string differences(const json& arguments) const;
  std::string deeper_differences(const json& arguments) const;
  std::string summary() const;
};

ArgumentSchema::ArgumentSchema(std::string_view schema) : parts_(std::make_unique<Parts>()) {
  if (schema.size() > kMaxArgumentBytes || json_depth(schema) > kMaxJsonDepth) {
    throw ToolError("schema: too large or nested too deeply");
  }
  try {
    parts_->schema = ordered_json::parse(schema);
    if (!parts_->schema.is_object()) throw ToolError("schema: not a JSON object");
    const json plain = without_patterns(json::parse(schema));
    refuse_reference_loops(plain, plain);
    valijson::SchemaParser parser;
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(plain), parts_->compiled);
  } catch (const ToolError&) {
    throw;
  } catch (const std::exception& problem) {
    throw ToolError(std::string("schema: ") + problem.what());
  }
}

ArgumentSchema::~ArgumentSchema() = default;
ArgumentSchema::ArgumentSchema(ArgumentSchema&&) noexcept = default;
ArgumentSchema& ArgumentSchema::operator=(ArgumentSchema&&) noexcept = default;

std::string ArgumentSchema::Parts::summary() const {
  std::string out;
  const auto properties = schema.find("properties");
  if (properties == schema.end() || properties->empty()) return "It takes no arguments.";
  for (const auto& [name, property] : properties->items()) {
    out += out.empty() ? "Its arguments: " : ", ";
    out += name + " (" + type_names(property) + (is_required(schema, name) ? ", required)" : ")");
  }
  return out + ".";
}

// One line for each argument of the top level that is missing, unknown or of the wrong type.
std::string ArgumentSchema::Parts::differences(const json& arguments) const {
  std::string lines;
  const ordered_json none = ordered_json::object();
  const auto found = schema.find("properties");
  const ordered_json& properties = found == schema.end() ? none : *found;
  for (const auto& [name, property] : properties.items()) {
    const auto given = arguments.find(name);
    if (given == arguments.end()) {
      if (is_required(schema, name)) lines += "\n- `" + name + "` is missing";
    } else if (!fits_type(property, *given)) {
      lines += "\n- `" + name + "` must be of type " + type_names(property) + ", not " +
               type_name_of(*given);
    }
  }
  const auto additional = schema.find("additionalProperties");
  if (additional != schema.end() && additional->is_boolean() && !additional->get<bool>()) {
    for (const auto& [name, value] : arguments.items()) {
      if (!properties.contains(name)) lines += "\n- `" + name + "` is unknown";
    }
  }
  return lines;
}

// What the validator says, for everything that the lines above do not explain.
std::string ArgumentSchema::Parts::deeper_differences(const json& arguments) const {
  constexpr int kMostLines = 5;
  valijson::ValidationResults results;
  valijson::Validator validator;
  const valijson::adapters::NlohmannJsonAdapter target(arguments);
  validator.validate(compiled, target, &results);
  std::string lines;
  int count = 0;
  for (const auto& error : results) {
    if (++count > kMostLines) break;
    std::string where;
    for (const std::string& part : error.context) {
      if (part != "<root>") where += part;
    }
    lines += "\n- " + (where.empty() ? "" : "at " + where + ": ") + error.description;
  }
  return lines;
}

std::optional<std::string> ArgumentSchema::problem(std::string_view arguments) const {
  if (arguments.size() > kMaxArgumentBytes) {
    return "The arguments are larger than " + std::to_string(kMaxArgumentBytes) + " bytes.";
  }
  if (json_depth(arguments) > kMaxJsonDepth) return "The arguments are nested too deeply.";
  const json given = json::parse(arguments, nullptr, /*allow_exceptions=*/false);
  if (given.is_discarded()) return "The arguments are not valid JSON. " + parts_->summary();
  if (!given.is_object()) return "The arguments are not a JSON object. " + parts_->summary();
  valijson::Validator validator;
  const valijson::adapters::NlohmannJsonAdapter target(given);
  if (validator.validate(parts_->compiled, target, nullptr)) return std::nullopt;
  std::string lines = parts_->differences(given);
  if (lines.empty()) lines = parts_->deeper_differences(given);
  return "The arguments do not fit:" + lines + "\n" + parts_->summary();
}

}  // namespace corvid::tools
