// The logins that the user has made: one private file, keyed by the server's URL and its issuer.
//
// Written as a whole under a new name, mode 0600, while a lock file keeps other processes out; a
// file of a newer version is left alone. io thread. PluginError when it cannot be read or written.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "plugins/oauth_metadata.h"

namespace corvid::plugins {

struct OAuthLogin {
  std::string server, issuer;  // the key
  std::string resource, token_endpoint;
  OAuthClient client;
  Scopes scopes;  // that were asked for
  Scopes wanted;  // that the server has asked for since
  Secret access, refresh;
};

class OAuthStore {
 public:
  // Without a file all is forgotten with this object.
  explicit OAuthStore(std::filesystem::path file) : file_(std::move(file)) {}

  // The latest for this server.
  std::optional<OAuthLogin> find(const std::string& server) const;
  // In the place of an older one with its key; it becomes the server's latest.
  void put(OAuthLogin login);
  // How many were forgotten.
  int forget(const std::string& server);

 private:
  std::filesystem::path file_;
  std::vector<OAuthLogin> kept_;  // without a file
};

}  // namespace corvid::plugins
