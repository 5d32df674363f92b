// JSON from outside, read by name: a value with the path that leads to it.
//
// Lenient as clients of many kinds need it: unknown members are passed over, and null is as good
// as absent. What is there must have the right type and range; ModelError names the path otherwise
// ("messages[2].role: not a string"). A field refers to its document, which outlives it. Any
// thread.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corvid::model {

class JsonField {
 public:
  JsonField(const nlohmann::ordered_json& json, std::string path)
      : json_(&json), path_(std::move(path)) {}

  const nlohmann::ordered_json& json() const { return *json_; }
  const std::string& path() const { return path_; }
  [[noreturn]] void fail(const std::string& problem) const;

  bool is_text() const;
  bool is_array() const;
  bool is_object() const;

  std::string text() const;
  bool boolean() const;
  std::int64_t integer(std::int64_t min, std::int64_t max) const;
  double number(double min, double max) const;
  std::vector<JsonField> items() const;
  std::string print() const;  // as the chat formats print JSON

  // Members; all fail when this is no object.
  std::optional<JsonField> find(const char* name) const;
  JsonField at(const char* name) const;  // fails when it is absent
  bool has(const char* name) const { return find(name).has_value(); }
  std::string text_or(const char* name, std::string_view otherwise) const;
  bool boolean_or(const char* name, bool otherwise) const;

 private:
  const nlohmann::ordered_json* json_;
  std::string path_;
};

class JsonDocument {
 public:
  // `name` stands for the whole in messages. Bounded in depth and in number of values.
  explicit JsonDocument(std::string_view text, std::string name = "the JSON");
  ~JsonDocument();

  JsonField root() const;

 private:
  std::unique_ptr<const nlohmann::ordered_json> json_;
};

}  // namespace corvid::model
