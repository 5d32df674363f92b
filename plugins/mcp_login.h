// The login of one MCP server over HTTP: the token that goes along with its requests, and what is
// done when the server wants another. A token that has run out is renewed; where that fails, or
// the server wants more than it allows, the user is asked to log in. io thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "plugins/mcp_config.h"
#include "plugins/oauth_login.h"
#include "tools/tool.h"

namespace corvid::plugins {

using Notice = std::function<void(std::string_view text)>;  // a sentence for the user; may be null

class McpLogin {
 public:
  // Nothing is read yet.
  McpLogin(const McpServerSpec& spec, Notice notice);

  // "Authorization: Bearer ..."; empty: there is no token.
  std::string header();
  // Where the server lies, as its answers show.
  void found(Reach reach) { reach_ = reach; }
  // What the server wants.
  void challenge(AuthChallenge challenge) { challenge_ = std::move(challenge); }
  bool challenged() const { return challenge_.has_value(); }

  // Answers the challenge: there is another token then. PluginError when there is none.
  asio::awaitable<void> answer(tools::ToolContext& context);
  // The user wants to log in, whatever there is: the issuer.
  asio::awaitable<std::string> log_in(ShowUrl show);

  // `text` without what only the servers are to know.
  std::string redacted(std::string text) const;

 private:
  bool renewed_elsewhere(const std::optional<OAuthLogin>& kept);
  asio::awaitable<bool> renew();
  void note_wanted(const Scopes& wanted);
  asio::awaitable<std::string> log_in(AuthChallenge challenge, ShowUrl show);
  void use(OAuthLogin login);

  std::string name_, server_, command_;
  Notice notice_;
  OAuthSettings settings_;
  OAuthStore store_;
  bool read_ = false;
  std::optional<OAuthLogin> login_;
  std::optional<AuthChallenge> challenge_;
  Reach reach_ = Reach::internet;
  std::vector<Secret> secrets_;
};

}  // namespace corvid::plugins
