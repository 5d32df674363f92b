// A login by OAuth 2.1 as MCP wants it: finds out who logs people in for a server, becomes known
// there, waits for the user's browser to come back, and fetches the token.
//
// Addresses that lie nearer than the server does are refused, as is anything but https beyond this
// machine; redirects are not followed; answers are bounded in size and time. io thread. PluginError
// in words that may be shown, without any secret in them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "plugins/oauth_store.h"

namespace corvid::plugins {

namespace asio = boost::asio;

struct OAuthTask {
  std::string server;
  Reach reach = Reach::internet;  // where the server lies
  AuthChallenge challenge;
  OAuthSettings settings;
  std::optional<OAuthLogin> before;  // whose scopes are asked for again
  std::chrono::seconds patience{300};
};

// `show` gets the address that the user is to open. Interrupted by a cancellation.
using ShowUrl = std::function<void(const std::string& url)>;
asio::awaitable<OAuthLogin> log_in(OAuthTask task, ShowUrl show);

// The same login with a new token.
asio::awaitable<OAuthLogin> refresh(OAuthLogin login, Reach reach);

}  // namespace corvid::plugins
