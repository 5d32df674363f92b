// Which MCP servers there are: the `mcpServers` of .mcp.json files.
//
// ${NAME} in a command, its arguments, `env`, `url` and `headers` is the environment variable of
// that name, ${NAME:-text} has a text for where there is none. A value that came from there, and
// every header, is a secret: people are shown the entry as it is written.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/oauth_metadata.h"
#include "plugins/secret.h"

namespace corvid::plugins {

struct McpServerSpec {
  std::string name;               // letters, digits, - and _
  std::vector<std::string> argv;  // of a process
  std::map<std::string, std::string> environment;
  std::string url;                     // of a server over HTTP
  std::vector<std::string> headers;    // "Name: value"
  OAuthSettings oauth;                 // how it is logged in to
  std::string shown;                   // what it is, for people: a command or a URL
  std::vector<std::string> variables;  // of our environment that it gets to see
  std::vector<Secret> secrets;
  std::string entry;             // as it is written
  std::filesystem::path memory;  // where it is kept what the user agreed to; empty: nowhere
  std::string trust_command;     // by which the user agrees to it as it is now
  std::filesystem::path logins;  // where logins are kept; empty: nowhere
  std::string login_command;     // by which the user logs in
  bool trusted = false;          // the user chose it; else the user is asked before it is started
  std::string problem;           // why it cannot be used; empty: it can
};

using Environment = std::function<const char*(const char* name)>;  // null: the process's own

// An entry that cannot be used has its problem set. PluginError when the text as a whole is wrong.
std::vector<McpServerSpec> parse_mcp_servers(std::string_view text, bool trusted,
                                             Environment environment = {});
// The same from a file; none when there is no such file.
std::vector<McpServerSpec> read_mcp_servers(const std::filesystem::path& file, bool trusted);

}  // namespace corvid::plugins
