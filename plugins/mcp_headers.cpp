#include "plugins/mcp_headers.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;

constexpr const char* kAnnotation = "x-mcp-header";
constexpr std::int64_t kLargestInteger = (std::int64_t{1} << 53) - 1;

bool is_plain(const std::string& value) {
  if (value.starts_with("=?base64?") && value.ends_with("?=")) return false;
  if (value.starts_with(' ') || value.ends_with(' ')) return false;
  return std::all_of(value.begin(), value.end(),
                     [](unsigned char c) { return c >= 0x20 && c < 0x7F; });
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

// Everything between "://" and the path.
std::string_view authority(std::string_view url) {
  const std::size_t start = url.find("://");
  if (start == url.npos) return {};
  return url.substr(start + 3, url.find_first_of("/?#", start + 3) - start - 3);
}

class MirrorReader {
 public:
  // `path`: of the argument that `schema` is about; null: none that a header could be made of.
  void read(const ordered_json& schema, const std::vector<std::string>* path) {
    if (schema.is_array()) {
      for (const ordered_json& part : schema) read(part, nullptr);
    }
    if (!schema.is_object()) return;
    if (schema.contains(kAnnotation)) take(schema, path);
    for (const auto& [key, value] : schema.items()) {
      if (key == "default" || key == "const" || key == "enum" || key == "examples") continue;
      if (key != "properties" || !value.is_object()) {
        read(value, nullptr);
        continue;
      }
      for (const auto& [name, property] : value.items()) {
        std::vector<std::string> longer = path ? *path : std::vector<std::string>();
        longer.push_back(name);
        read(property, path ? &longer : nullptr);
      }
    }
  }

  std::vector<McpMirror> found;
  bool good = true;

 private:
  void take(const ordered_json& schema, const std::vector<std::string>* path) {
    const ordered_json& name = schema[kAnnotation];
    const ordered_json type = schema.value("type", ordered_json());
    good &= path && !path->empty() && name.is_string() && is_header_name(name.get<std::string>()) &&
            (type == "string" || type == "integer" || type == "boolean");
    if (!good) return;
    McpMirror mirror{"Mcp-Param-" + name.get<std::string>(), *path};
    const auto same = [&](const McpMirror& other) {
      return lower(other.header) == lower(mirror.header);
    };
    good = std::none_of(found.begin(), found.end(), same);
    found.push_back(std::move(mirror));
  }
};

}  // namespace

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0);
    }
    for (int shift = 18; shift >= 0; shift -= 6) text += kDigits[group >> shift & 63];
  }
  const std::size_t n_missing = (3 - bytes.size() % 3) % 3;
  text.replace(text.size() - n_missing, n_missing, n_missing, '=');
  return text;
}

// libcurl leaves out a header without a value unless it ends with a semicolon.
std::string header_line(std::string_view name, const std::string& value) {
  if (value.empty()) return std::string(name) + ";";
  if (is_plain(value)) return std::string(name) + ": " + value;
  return std::string(name) + ": =?base64?" + base64(value) + "?=";
}

bool is_header_name(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(static_cast<char>(c)) != kMarks.npos;
  });
}

bool is_http_url(std::string_view url) {
  if (!url.starts_with("http://") && !url.starts_with("https://")) return false;
  const bool clean =
      std::all_of(url.begin(), url.end(), [](unsigned char c) { return c > 0x20 && c < 0x7F; });
  const std::string_view host = authority(url);
  return clean && !host.empty() && host.find_first_of("@\\") == host.npos;
}

bool is_loopback(std::string_view url) {
  std::string host = lower(std::string(authority(url)));
  const std::size_t colon = host.rfind(':');
  const bool has_port =
      colon != host.npos && host.find_first_not_of("0123456789", colon + 1) == host.npos;
  if (has_port) host.resize(colon);
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos);
}

std::optional<std::vector<McpMirror>> read_mirrors(const ordered_json& schema) {
  MirrorReader reader;
  const std::vector<std::string> root;
  reader.read(schema, &root);
  if (!reader.good) return {};
  return std::move(reader.found);
}

std::vector<std::string> mirror(const std::vector<McpMirror>& mirrors,
                                const ordered_json& arguments) {
  std::vector<std::string> headers;
  for (const McpMirror& mirror : mirrors) {
    const ordered_json* value = &arguments;
    for (const std::string& name : mirror.path) {
      const bool there = value && value->is_object() && value->contains(name);
      value = there ? &(*value)[name] : nullptr;
    }
    if (!value) continue;
    const bool small = value->is_number_integer() &&
                       std::abs(value->get<double>()) <= static_cast<double>(kLargestInteger);
    if (value->is_string()) {
      headers.push_back(header_line(mirror.header, value->get<std::string>()));
    } else if (small || value->is_boolean()) {
      headers.push_back(header_line(mirror.header, value->dump()));
    }
  }
  return headers;
}

}  // namespace corvid::plugins
