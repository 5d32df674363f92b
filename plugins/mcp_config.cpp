#include "plugins/mcp_config.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "plugins/error.h"
#include "plugins/manifest.h"
#include "plugins/mcp_headers.h"
#include "tools/arguments.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxFileBytes = 1 << 20;
constexpr std::size_t kMaxServers = 64;
constexpr std::size_t kShortestSecretBytes = 8;

std::string string_of(const ordered_json& value, const std::string& what) {
  if (!value.is_string()) throw PluginError("`" + what + "` must be a string");
  std::string text = value.get<std::string>();
  if (text.find('\0') != text.npos) throw PluginError("`" + what + "` has a NUL in it");
  return text;
}

// Short values are words that may stand anywhere.
void note_secret(McpServerSpec& spec, const std::string& value) {
  if (value.size() >= kShortestSecretBytes) spec.secrets.emplace_back(value);
}

// Puts our environment's variables into the texts of one entry, and notes which.
class Expansion {
 public:
  Expansion(const Environment& environment, McpServerSpec& spec)
      : environment_(environment), spec_(spec) {}

  std::string expand(const std::string& text) {
    std::string whole;
    std::size_t at = 0;
    for (std::size_t start; (start = text.find("${", at)) != text.npos;) {
      const std::size_t end = text.find('}', start);
      if (end == text.npos) break;
      whole += text.substr(at, start - at) + value_of(text.substr(start + 2, end - start - 2));
      at = end + 1;
    }
    return whole + text.substr(at);
  }

 private:
  std::string value_of(const std::string& inner) {
    const std::size_t mark = inner.find(":-");
    const std::string name = inner.substr(0, mark);
    if (!is_variable(name)) throw PluginError("`${" + inner + "}` names no variable");
    const char* value = environment_ ? environment_(name.c_str()) : std::getenv(name.c_str());
    if (value && (*value || mark == inner.npos)) {
      auto& names = spec_.variables;
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      note_secret(spec_, value);
      return value;
    }
    if (mark != inner.npos) return inner.substr(mark + 2);
    throw PluginError("the environment variable " + name + " is not set");
  }
  static bool is_variable(std::string_view name) {
    return is_tool_name(name) && name.find('-') == name.npos && (name[0] < '0' || name[0] > '9');
  }

  const Environment& environment_;
  McpServerSpec& spec_;
};

void read_process(const ordered_json& entry, Expansion& values, McpServerSpec& spec) {
  std::vector<std::string> words{string_of(entry["command"], "command")};
  if (words[0].empty()) throw PluginError("`command` is empty");
  if (entry.contains("args")) {
    if (!entry["args"].is_array()) throw PluginError("`args` must be a list of strings");
    for (const ordered_json& word : entry["args"]) words.push_back(string_of(word, "args"));
  }
  for (const std::string& word : words) {
    spec.shown += (spec.shown.empty() ? "" : " ") + word;
    spec.argv.push_back(values.expand(word));
  }
  if (!entry.contains("env")) return;
  if (!entry["env"].is_object()) throw PluginError("`env` must be an object of strings");
  for (const auto& [name, value] : entry["env"].items()) {
    if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != name.npos) {
      throw PluginError("`env` has a name that is none");
    }
    const std::string text = string_of(value, "env");
    spec.shown += (spec.environment.empty() ? " with " : " ") + name + "=" + text;
    spec.environment[name] = values.expand(text);
  }
}

// Headers that the transport sets itself.
bool is_taken(std::string name) {
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  constexpr std::string_view kTaken[] = {
      "accept", "content-length", "content-type", "connection",
      "host",   "last-event-id",  "expect",       "transfer-encoding"};
  return name.starts_with("mcp-") ||
         std::find(std::begin(kTaken), std::end(kTaken), name) != std::end(kTaken);
}

// Of a server that wants a login: what is known about us there, and what to ask for.
void read_oauth(const ordered_json& entry, Expansion& values, McpServerSpec& spec) {
  if (!entry.is_object()) throw PluginError("`oauth` must be an object");
  const auto text = [&](const char* key) {
    if (!entry.contains(key)) return std::string();
    return values.expand(string_of(entry[key], std::string("oauth.") + key));
  };
  spec.oauth.client_id = text("clientId");
  const std::string secret = text("clientSecret");
  spec.oauth.client_secret = Secret(secret);
  note_secret(spec, secret);
  spec.oauth.issuer = text("issuer");
  if (!secret.empty() && spec.oauth.client_id.empty()) {
    throw PluginError("`oauth.clientSecret` is nothing without `clientId`");
  }
  if (!entry.contains("scopes")) return;
  if (!entry["scopes"].is_array()) throw PluginError("`oauth.scopes` must be a list of strings");
  for (const ordered_json& scope : entry["scopes"]) {
    add_scopes(spec.oauth.scopes, split_scopes(string_of(scope, "oauth.scopes")));
  }
}

void read_url(const ordered_json& entry, Expansion& values, McpServerSpec& spec) {
  spec.shown = string_of(entry["url"], "url");
  spec.url = values.expand(spec.shown);
  if (!is_http_url(spec.url)) {
    throw PluginError("`url` must start with http:// or https:// and have no key before the host");
  }
  if (entry.contains("oauth")) read_oauth(entry["oauth"], values, spec);
  if (!entry.contains("headers")) return;
  if (!entry["headers"].is_object()) throw PluginError("`headers` must be an object of strings");
  for (const auto& [name, value] : entry["headers"].items()) {
    if (!is_header_name(name) || is_taken(name)) {
      throw PluginError("`headers` has a name that cannot be used");
    }
    const std::string text = values.expand(string_of(value, "headers"));
    const bool clean = std::all_of(text.begin(), text.end(),
                                   [](unsigned char c) { return c >= 0x20 && c != 0x7F; });
    if (!clean) throw PluginError("`headers` has a value that no header can have");
    spec.headers.push_back(text.empty() ? name + ";" : name + ": " + text);
    note_secret(spec, text);
    note_secret(spec, text.substr(text.rfind(' ') + 1));  // "Bearer TOKEN"
  }
}

void read_entry(const ordered_json& entry, Expansion& values, McpServerSpec& spec) {
  if (!is_tool_name(spec.name)) {
    throw PluginError("its name may have letters, digits, - and _, at most 64");
  }
  if (!entry.is_object()) throw PluginError("it must be an object");
  std::string type = entry.contains("url") ? "http" : "stdio";
  if (entry.contains("type")) type = string_of(entry["type"], "type");
  if (type == "stdio" && entry.contains("command")) return read_process(entry, values, spec);
  if (type == "stdio") throw PluginError("`command` is missing");
  if (type == "sse") {
    throw PluginError("its transport is of 2024-11-05; most such servers have a newer one, `http`");
  }
  if (type != "http" && type != "streamable-http") {
    throw PluginError("its `type` is neither stdio nor http");
  }
  if (!entry.contains("url")) throw PluginError("`url` is missing");
  read_url(entry, values, spec);
}

}  // namespace

std::vector<McpServerSpec> parse_mcp_servers(std::string_view text, bool trusted,
                                             Environment environment) {
  if (tools::json_depth(text) > tools::kMaxJsonDepth) throw PluginError("it is nested too deep");
  const ordered_json json = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw PluginError("it is not a JSON object");
  std::vector<McpServerSpec> specs;
  if (!json.contains("mcpServers")) return specs;
  const ordered_json& servers = json["mcpServers"];
  if (!servers.is_object()) throw PluginError("`mcpServers` must be an object");
  if (servers.size() > kMaxServers) throw PluginError("it names more than 64 servers");
  for (const auto& [name, entry] : servers.items()) {
    McpServerSpec spec;
    spec.name = name;
    spec.trusted = trusted;
    spec.entry = entry.dump();
    try {
      Expansion values(environment, spec);
      read_entry(entry, values, spec);
    } catch (const PluginError& problem) {
      spec.problem = problem.what();
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

std::vector<McpServerSpec> read_mcp_servers(const std::filesystem::path& file, bool trusted) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return {};
  if (std::filesystem::file_size(file, error) > kMaxFileBytes) {
    throw PluginError(file.string() + " has more than 1 MiB");
  }
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  try {
    return parse_mcp_servers(text.str(), trusted);
  } catch (const PluginError& problem) {
    throw PluginError(file.string() + ": " + problem.what());
  }
}

}  // namespace corvid::plugins
