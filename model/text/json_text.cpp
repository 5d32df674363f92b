#include "model/text/json_text.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "model/error.h"
#include "model/text/utf8.h"

namespace corvid::model {
namespace {

using Json = nlohmann::json;

// As Python's repr: shortest digits, positional from 1e-4 to 1e16.
std::string print_float(double value) {
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, end.ptr - buffer);
  const std::size_t e = text.find('e');
  const int exponent = std::stoi(std::string(text.substr(e + 1)));
  if (exponent < -4 || exponent >= 16) return std::string(text);
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string out(buffer, fixed.ptr);
  return out.find('.') == std::string::npos ? out + ".0" : out;
}

// Writes what the parser reports; remembers where the members of the outermost object are.
class Printer : public Json::json_sax_t {
 public:
  std::string out;
  std::vector<JsonMember> members;  // values are cut out when their end is known
  bool is_object = false;
  std::string problem;

  bool null() override { return value("null"); }
  bool boolean(bool b) override { return value(b ? "true" : "false"); }
  bool number_integer(Json::number_integer_t n) override { return value(std::to_string(n)); }
  bool number_unsigned(Json::number_unsigned_t n) override { return value(std::to_string(n)); }
  bool number_float(Json::number_float_t n, const std::string& text) override {
    const bool whole = text.find_first_of(".eE") == std::string::npos;  // beyond 64 bits
    return value(whole ? text : print_float(n));
  }
  bool string(std::string& text) override { return value(json_quote(text)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(std::size_t) override {
    if (depth_.empty()) is_object = true;
    return open('{');
  }
  bool end_object() override { return close('}'); }
  bool start_array(std::size_t) override { return open('['); }
  bool end_array() override { return close(']'); }
  bool key(std::string& name) override {
    separate();
    out += json_quote(name) + ": ";
    after_key_ = true;
    if (depth_.size() == 1) {
      members.push_back({name, {}});
      value_start_ = out.size();
    }
    return true;
  }
  bool parse_error(std::size_t at, const std::string&, const Json::exception&) override {
    problem = "invalid JSON at byte " + std::to_string(at);
    return false;
  }

 private:
  void separate() {
    if (!depth_.empty() && !after_key_) {
      if (depth_.back()++ > 0) out += ", ";
    }
    after_key_ = false;
  }
  bool value(std::string_view text) {
    separate();
    out += text;
    end_value();
    return true;
  }
  bool open(char bracket) {
    separate();
    out += bracket;
    depth_.push_back(0);
    return true;
  }
  bool close(char bracket) {
    out += bracket;
    depth_.pop_back();
    end_value();
    return true;
  }
  void end_value() {
    if (is_object && depth_.size() == 1) members.back().value = out.substr(value_start_);
  }

  std::vector<int> depth_;  // elements so far, for each open bracket
  bool after_key_ = false;
  std::size_t value_start_ = 0;
};

Printer parsed(std::string_view text) {
  Printer printer;
  if (!Json::sax_parse(text, &printer)) throw ModelError(printer.problem);
  return printer;
}

}  // namespace

std::string print_json(std::string_view text) {
  return parsed(text).out;
}

std::vector<JsonMember> json_members(std::string_view text) {
  Printer printer = parsed(text);
  if (!printer.is_object) throw ModelError("this JSON is not an object");
  std::vector<JsonMember> unique;
  std::unordered_map<std::string, std::size_t> places;
  for (JsonMember& member : printer.members) {
    const auto [place, is_new] = places.emplace(member.name, unique.size());
    if (is_new) unique.push_back({member.name, {}});
    unique[place->second].value = std::move(member.value);
  }
  return unique;
}

bool is_json(std::string_view text) {
  return Json::accept(text);
}

std::string json_quote(std::string_view text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string json_unquote(std::string_view quoted) {
  const Json parsed = Json::parse(quoted, nullptr, false);
  if (!parsed.is_string()) throw ModelError("this JSON is not a string");
  return parsed.get<std::string>();
}

}  // namespace corvid::model
