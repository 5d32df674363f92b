#include "runtime/credentials.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "runtime/error.h"

namespace corvid::runtime {
namespace {

// A provider's own variable is read for its own host only: no other server gets to see that key.
struct Provider {
  std::string_view host;
  const char* variable;
};
constexpr std::array<Provider, 4> kProviders = {{{"api.deepseek.com", "DEEPSEEK_API_KEY"},
                                                 {"api.openai.com", "OPENAI_API_KEY"},
                                                 {"openrouter.ai", "OPENROUTER_API_KEY"},
                                                 {"api.moonshot.ai", "MOONSHOT_API_KEY"}}};
constexpr const char* kAnyHostVariable = "CORVID_API_KEY";
constexpr std::size_t kKeyFileLimitBytes = 64u << 10;

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& why) {
  throw RuntimeError("The key file " + file.string() + " " + why + ".", kUsage);
}

// Empty when there is no such file.
std::string read_private_file(const std::filesystem::path& file) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    refuse(file, std::string("cannot be read: ") + std::strerror(errno));
  }
  struct Closer {
    int fd;
    ~Closer() { close(fd); }
  } closer{fd};
  struct stat info = {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) refuse(file, "is not a regular file");
  if (info.st_uid != geteuid()) refuse(file, "belongs to someone else");
  if (info.st_mode & 077) {
    refuse(file, "can be read or written by others: run chmod 600 " + file.string());
  }
  std::string text(kKeyFileLimitBytes, '\0');
  const ssize_t n = read(fd, text.data(), text.size());
  if (n < 0) refuse(file, std::string("cannot be read: ") + std::strerror(errno));
  text.resize(static_cast<std::size_t>(n));
  return text;
}

std::string key_for_host(const std::string& text, std::string_view host,
                         const std::filesystem::path& file) {
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line);
    std::string name, key, more;
    words >> name >> key >> more;
    if (name.empty() || name.front() == '#') continue;
    if (key.empty() || !more.empty()) {
      refuse(file, "has no \"HOST KEY\" in line " + std::to_string(number));
    }
    if (name == host) return key;
  }
  return {};
}

// What cannot travel in a header would change the request, so it is refused.
Credential checked(std::string key, std::string origin) {
  for (unsigned char c : key) {
    if (c <= ' ' || c >= 127) {
      throw RuntimeError("The key from " + origin + " has a character that no key has.", kUsage);
    }
  }
  return {Secret(std::move(key)), std::move(origin)};
}

}  // namespace

Credential find_credential(const CredentialSources& sources) {
  const auto value_of = [&](const char* name) -> std::string {
    const char* value = sources.environment ? sources.environment(name) : std::getenv(name);
    return value ? value : "";
  };
  if (!sources.variable.empty()) {
    std::string key = value_of(sources.variable.c_str());
    if (key.empty()) {
      throw RuntimeError("The settings take the key from " + sources.variable +
                             ", which is not set in the environment.",
                         kUsage);
    }
    return checked(std::move(key), sources.variable);
  }
  for (const Provider& provider : kProviders) {
    if (sources.host != provider.host) continue;
    if (std::string key = value_of(provider.variable); !key.empty()) {
      return checked(std::move(key), provider.variable);
    }
  }
  if (std::string key = value_of(kAnyHostVariable); !key.empty()) {
    return checked(std::move(key), kAnyHostVariable);
  }
  const std::string text = read_private_file(sources.key_file);
  if (std::string key = key_for_host(text, sources.host, sources.key_file); !key.empty()) {
    return checked(std::move(key), sources.key_file.string());
  }
  return {};
}

}  // namespace corvid::runtime
