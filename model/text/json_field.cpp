#include "model/text/json_field.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "model/error.h"
#include "model/text/json_text.h"

namespace corvid::model {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxDepth = 200;  // deeper is never meant, and trees are walked recursively
constexpr int kMaxValues = 1'000'000;   // each takes some 50 bytes of memory
// Of a name with those before it in its object: a tree that keeps their order looks through them.
constexpr std::int64_t kMaxComparisons = 50'000'000;

std::string number_text(double number) {
  std::string text = std::to_string(number);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

// Reads a text without keeping anything of it: whether a tree of it may be made. (A limit that is
// asked while the tree is made costs a look through each array for each of its items.)
class Bounds : public nlohmann::json_sax<Json> {
 public:
  explicit Bounds(const std::string& name) : name_(name) {}

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t&) override { return value(); }
  bool binary(binary_t&) override { return value(); }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t&) override {
    n_comparisons_ += members_.back()++;
    if (n_comparisons_ > kMaxComparisons) throw ModelError(name_ + " has too many members");
    return true;
  }
  // What is no JSON, the parser of the tree will say.
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override {
    return false;
  }

 private:
  bool value() {
    if (++n_values_ > kMaxValues) throw ModelError(name_ + " has too many values");
    return true;
  }
  bool open() {
    members_.push_back(0);
    if (members_.size() > kMaxDepth) throw ModelError(name_ + " is nested too deeply");
    return value();
  }
  bool close() {
    members_.pop_back();
    return true;
  }

  const std::string& name_;
  int n_values_ = 0;
  std::int64_t n_comparisons_ = 0;
  std::vector<std::int64_t> members_;  // of the objects that are open; arrays have none
};

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
  try {
    Bounds bounds(name);
    Json::sax_parse(text, &bounds);
    json_ = std::make_unique<const Json>(Json::parse(text));
  } catch (const Json::exception& error) {
    throw ModelError(name + " is not JSON: " + error.what());
  }
}

JsonDocument::~JsonDocument() = default;

JsonField JsonDocument::root() const {
  return {*json_, ""};
}

}  // namespace corvid::model
