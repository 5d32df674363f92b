#include "plugins/oauth_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "plugins/error.h"

namespace corvid::plugins {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr std::size_t kMaxFileBytes = 4 << 20;

[[noreturn]] void refuse(const fs::path& file, const std::string& why) {
  throw PluginError("the logins in " + file.string() + " " + why);
}

struct Descriptor {
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  int fd;
};

// Held while it exists. The lock file stays: a new one would be another lock.
class Lock {
 public:
  explicit Lock(const fs::path& file)
      : file_(::open((file.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                     0600)) {
    int status = file_.fd < 0 ? -1 : ::flock(file_.fd, LOCK_EX);
    while (status < 0 && errno == EINTR) status = ::flock(file_.fd, LOCK_EX);
    if (status < 0) refuse(file, std::string("cannot be locked: ") + std::strerror(errno));
  }

 private:
  Descriptor file_;
};

// Empty when there is none.
std::string read_private(const fs::path& file) {
  const Descriptor open(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (open.fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return {};
  if (open.fd < 0) refuse(file, std::string("cannot be read: ") + std::strerror(errno));
  struct stat info = {};
  if (::fstat(open.fd, &info) != 0 || !S_ISREG(info.st_mode)) refuse(file, "are no file");
  if (info.st_uid != ::geteuid()) refuse(file, "belong to someone else");
  if (info.st_mode & 077) {
    refuse(file, "can be read by others: run chmod 600 " + file.string());
  }
  if (static_cast<std::size_t>(info.st_size) > kMaxFileBytes) refuse(file, "are too many");
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  const ssize_t n = ::read(open.fd, text.data(), text.size());
  if (n < 0) refuse(file, std::string("cannot be read: ") + std::strerror(errno));
  text.resize(static_cast<std::size_t>(n));
  return text;
}

void write_private(const fs::path& file, const std::string& text) {
  const fs::path fresh = file.string() + ".new";
  ::unlink(fresh.c_str());
  const Descriptor open(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  bool good = open.fd >= 0;
  for (std::string_view rest = text; good && !rest.empty();) {
    const ssize_t n = ::write(open.fd, rest.data(), rest.size());
    good = n > 0 || (n < 0 && errno == EINTR);
    if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
  }
  good = good && ::fsync(open.fd) == 0 && ::rename(fresh.c_str(), file.c_str()) == 0;
  if (!good) refuse(file, std::string("cannot be written: ") + std::strerror(errno));
}

ordered_json to_json(const OAuthLogin& login) {
  return {{"server", login.server},
          {"issuer", login.issuer},
          {"resource", login.resource},
          {"token_endpoint", login.token_endpoint},
          {"client_id", login.client.id},
          {"client_secret", login.client.secret.reveal()},
          {"client_auth", login.client.auth},
          {"scopes", joined(login.scopes)},
          {"wanted", joined(login.wanted)},
          {"access_token", login.access.reveal()},
          {"refresh_token", login.refresh.reveal()}};
}

OAuthLogin from_json(const ordered_json& json) {
  const auto text = [&](const char* key) { return json.at(key).get<std::string>(); };
  OAuthLogin login;
  login.server = text("server");
  login.issuer = text("issuer");
  login.resource = text("resource");
  login.token_endpoint = text("token_endpoint");
  login.client = {text("client_id"), Secret(text("client_secret")), text("client_auth")};
  login.scopes = split_scopes(text("scopes"));
  login.wanted = split_scopes(text("wanted"));
  login.access = Secret(text("access_token"));
  login.refresh = Secret(text("refresh_token"));
  return login;
}

std::vector<OAuthLogin> read_logins(const fs::path& file) {
  std::vector<OAuthLogin> logins;
  const std::string text = read_private(file);
  if (text.empty()) return logins;
  const ordered_json json = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) refuse(file, "cannot be understood; remove the file to begin anew");
  if (json.value("version", ordered_json()) != kVersion) refuse(file, "are of a newer Corvid");
  try {
    for (const ordered_json& one : json.at("logins")) logins.push_back(from_json(one));
  } catch (const nlohmann::json::exception&) {
    refuse(file, "cannot be understood; remove the file to begin anew");
  }
  return logins;
}

void write_logins(const fs::path& file, const std::vector<OAuthLogin>& logins) {
  ordered_json json = {{"version", kVersion}, {"logins", ordered_json::array()}};
  for (const OAuthLogin& login : logins) json["logins"].push_back(to_json(login));
  write_private(file, json.dump(1) + "\n");
}

}  // namespace

std::optional<OAuthLogin> OAuthStore::find(const std::string& server) const {
  std::optional<OAuthLogin> found;
  for (OAuthLogin& login : file_.empty() ? std::vector(kept_) : read_logins(file_)) {
    if (login.server == server) found = std::move(login);
  }
  return found;
}

void OAuthStore::put(OAuthLogin login) {
  const auto change = [&](std::vector<OAuthLogin>& logins) {
    std::erase_if(logins, [&](const OAuthLogin& other) {
      return other.server == login.server && other.issuer == login.issuer;
    });
    logins.push_back(std::move(login));
  };
  if (file_.empty()) return change(kept_);
  std::error_code ignored;  // what is missing shows when the file is opened
  fs::create_directories(file_.parent_path(), ignored);
  const Lock lock(file_);
  auto logins = read_logins(file_);
  change(logins);
  write_logins(file_, logins);
}

int OAuthStore::forget(const std::string& server) {
  const auto is_its = [&](const OAuthLogin& login) { return login.server == server; };
  if (file_.empty()) return static_cast<int>(std::erase_if(kept_, is_its));
  if (!fs::exists(file_)) return 0;
  const Lock lock(file_);
  auto logins = read_logins(file_);
  const auto n = std::erase_if(logins, is_its);
  if (n > 0) write_logins(file_, logins);
  return static_cast<int>(n);
}

}  // namespace corvid::plugins
