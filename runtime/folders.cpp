#include "runtime/folders.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace corvid::runtime {
namespace {

std::filesystem::path xdg(const char* variable, const char* below_home) {
  const char* value = std::getenv(variable);
  if (value && value[0] == '/') return std::filesystem::path(value) / "corvid";
  return home_folder() / below_home / "corvid";  // relative values are to be ignored (XDG 0.8)
}

}  // namespace

std::filesystem::path home_folder() {
  if (const char* home = std::getenv("HOME"); home && home[0] == '/') return home;
  const passwd* entry = getpwuid(getuid());
  return entry ? entry->pw_dir : "/";
}

std::filesystem::path config_folder() {
  return xdg("XDG_CONFIG_HOME", ".config");
}
std::filesystem::path data_folder() {
  return xdg("XDG_DATA_HOME", ".local/share");
}
std::filesystem::path state_folder() {
  return xdg("XDG_STATE_HOME", ".local/state");
}
std::filesystem::path cache_folder() {
  return xdg("XDG_CACHE_HOME", ".cache");
}

std::filesystem::path kernels_folder() {
  return cache_folder() / "kernels";
}

std::filesystem::path sessions_file() {
  return data_folder() / "sessions.db";
}

}  // namespace corvid::runtime
