#include "sandbox/environment.h"

#include <cstdlib>

namespace corvid::sandbox {

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
      {"HOME", home},
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
  return environment;
}

}  // namespace corvid::sandbox
