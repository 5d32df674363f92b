#include "model/text/json_field.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "model/error.h"
#include "model/text/json_text.h"

namespace corvid::model {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 200;         // deeper is never meant, and trees are walked recursively
constexpr int kMaxValues = 1'000'000;  // each takes some 50 bytes of memory

std::string number_text(double number) {
  std::string text = std::to_string(number);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

}  // namespace

void JsonField::fail(const std::string& problem) const {
  throw ModelError((path_.empty() ? "the body" : path_) + ": " + problem, path_);
}

bool JsonField::is_text() const {
  return json_->is_string();
}
bool JsonField::is_array() const {
  return json_->is_array();
}
bool JsonField::is_object() const {
  return json_->is_object();
}

std::string JsonField::text() const {
  if (!is_text()) fail("not a string");
  return json_->get<std::string>();
}

bool JsonField::boolean() const {
  if (!json_->is_boolean()) fail("not true or false");
  return json_->get<bool>();
}

std::int64_t JsonField::integer(std::int64_t min, std::int64_t max) const {
  if (!json_->is_number_integer()) fail("not an integer");
  const bool beyond = json_->is_number_unsigned() &&
                      json_->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
  const std::int64_t number = beyond ? INT64_MAX : json_->get<std::int64_t>();
  if (beyond || number < min || number > max) {
    fail("not between " + std::to_string(min) + " and " + std::to_string(max));
  }
  return number;
}

double JsonField::number(double min, double max) const {
  if (!json_->is_number()) fail("not a number");
  const double number = json_->get<double>();
  if (!(number >= min && number <= max)) {
    fail("not between " + number_text(min) + " and " + number_text(max));
  }
  return number;
}

std::vector<JsonField> JsonField::items() const {
  if (!is_array()) fail("not an array");
  std::vector<JsonField> items;
  for (std::size_t i = 0; i < json_->size(); ++i) {
    items.emplace_back((*json_)[i], path_ + "[" + std::to_string(i) + "]");
  }
  return items;
}

std::string JsonField::print() const {
  return print_json(json_->dump());
}

std::optional<JsonField> JsonField::find(const char* name) const {
  if (!is_object()) fail("not an object");
  const auto found = json_->find(name);
  if (found == json_->end() || found->is_null()) return std::nullopt;
  return JsonField(*found, path_.empty() ? name : path_ + "." + name);
}

JsonField JsonField::at(const char* name) const {
  if (const auto field = find(name)) return *field;
  const std::string path = path_.empty() ? name : path_ + "." + name;
  throw ModelError((path_.empty() ? "" : path_ + ": ") + "'" + name + "' is missing", path);
}

std::string JsonField::text_or(const char* name, std::string_view otherwise) const {
  const auto field = find(name);
  return field ? field->text() : std::string(otherwise);
}

bool JsonField::boolean_or(const char* name, bool otherwise) const {
  const auto field = find(name);
  return field ? field->boolean() : otherwise;
}

JsonDocument::JsonDocument(std::string_view text, std::string name) {
  int n_values = 0;
  const auto limit = [&](int depth, Json::parse_event_t event, Json&) {
    if (depth > kMaxDepth) throw ModelError(name + " is nested too deeply");
    if (event != Json::parse_event_t::key && ++n_values > kMaxValues) {
      throw ModelError(name + " has too many values");
    }
    return true;
  };
  try {
    json_ = std::make_unique<const Json>(Json::parse(text, limit));
  } catch (const Json::exception& error) {
    throw ModelError(name + " is not JSON: " + error.what());
  }
}

JsonDocument::~JsonDocument() = default;

JsonField JsonDocument::root() const {
  return {*json_, ""};
}

}  // namespace corvid::model
