#include "sandbox/environment.h"

#include <cstdlib>
#include <fstream>

namespace corvid::sandbox {
namespace {

std::string trimmed(std::string text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '"'; };
  while (!text.empty() && blank(text.back())) text.pop_back();
  std::size_t start = 0;
  while (start < text.size() && blank(text[start])) ++start;
  return text.substr(start);
}

// Name and email of the [user] section; later files win, as in git.
void read_user(const std::string& path, std::map<std::string, std::string>& user) {
  std::ifstream file(path);
  bool in_section = false;
  for (std::string line; std::getline(file, line);) {
    line = trimmed(line);
    if (line.starts_with('[')) in_section = line.starts_with("[user]");
    const std::size_t equals = line.find('=');
    if (!in_section || equals == std::string::npos) continue;
    const std::string name = trimmed(line.substr(0, equals));
    if (name == "name" || name == "email") user[name] = trimmed(line.substr(equals + 1));
  }
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

}  // namespace

std::map<std::string, std::string> command_environment(const std::string& home) {
  std::map<std::string, std::string> environment{
      {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
      {"LANG", "C.UTF-8"},
  };
  // Toolchains installed in a home folder find themselves by these.
  for (const char* name : {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME",
                           "PYENV_ROOT", "RUSTUP_HOME", "JAVA_HOME", "GOROOT", "VIRTUAL_ENV",
                           "CONDA_PREFIX", "CUDA_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"}) {
    const char* value = std::getenv(name);
    if (value && *value) environment[name] = value;
  }
  const std::map<std::string, std::string> fixed{
      {"TERM", "dumb"},
      {"NO_COLOR", "1"},
      {"PAGER", "cat"},
      {"GIT_PAGER", "cat"},
      {"GIT_EDITOR", "true"},
      {"EDITOR", "true"},
      {"GIT_TERMINAL_PROMPT", "0"},
      {"GIT_OPTIONAL_LOCKS", "0"},
      {"DEBIAN_FRONTEND", "noninteractive"},
      {"PYTHONDONTWRITEBYTECODE", "1"},
      {"AGENT", "corvid"},
  };
  for (const auto& [name, value] : fixed) environment[name] = value;
  if (const char* own = std::getenv("HOME"); home.empty() && own) environment["HOME"] = own;
  if (!home.empty()) environment["HOME"] = home;
  return environment;
}

std::string private_git_config() {
  std::map<std::string, std::string> user{{"name", "Corvid"}, {"email", "corvid@localhost"}};
  const char* home = std::getenv("HOME");
  const char* config = std::getenv("XDG_CONFIG_HOME");
  if (config && *config) {
    read_user(std::string(config) + "/git/config", user);
  } else if (home) {
    read_user(std::string(home) + "/.config/git/config", user);
  }
  if (home) read_user(std::string(home) + "/.gitconfig", user);
  // Which repositories are safe is the policy's business here, not the owner's.
  return "[user]\n\tname = " + quoted(user["name"]) + "\n\temail = " + quoted(user["email"]) +
         "\n[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n" +
         "[maintenance]\n\tauto = false\n";
}

}  // namespace corvid::sandbox
