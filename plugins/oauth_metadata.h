// What an MCP server and its authorization server say about logging in, read and checked:
// metadata, answers and the redirect that ends in our hands. Pure; nothing in it is trusted.
//
// Sources: MCP 2026-07-28, "Authorization"; RFC 9728 (protected resource), RFC 8414 (authorization
// server), RFC 7591 (registration), RFC 6749 and 6750 (tokens), RFC 9207 (`iss`).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/oauth_challenge.h"
#include "plugins/secret.h"
#include "plugins/web_url.h"

namespace corvid::plugins {

// Where the metadata may lie, the likeliest first.
std::vector<std::string> resource_places(const WebUrl& server);
std::vector<std::string> issuer_places(const WebUrl& issuer);

// The readers throw PluginError with what is wrong, in words that may be shown.

struct ResourceMetadata {
  std::string resource;  // as published: what a token is asked for
  std::vector<std::string> issuers;
  Scopes scopes;
};
// It must be about `server`, or about what that lies below.
ResourceMetadata read_resource(std::string_view json, const WebUrl& server, Reach reach);

struct IssuerMetadata {
  std::string issuer, authorization_endpoint, token_endpoint;
  std::string registration_endpoint;    // empty: there is none
  std::vector<std::string> token_auth;  // how a client proves itself; empty: it does not say
  Scopes scopes;
  bool takes_client_url = false;  // a client's id may be the URL of a document about it
  bool says_iss = false;          // in each redirect
};
// `issuer`: who it must be from.
IssuerMetadata read_issuer(std::string_view json, const std::string& issuer, Reach reach);

// Us, as an authorization server knows us.
struct OAuthClient {
  std::string id;
  Secret secret;     // empty: we have none
  std::string auth;  // client_secret_basic, client_secret_post or none
};
// What the user's own entry says of it.
struct OAuthSettings {
  std::string client_id;  // empty: Corvid registers itself; an https URL: of a document about it
  Secret client_secret;
  std::string issuer;  // the only one that may be logged in to; empty: the server's first
  Scopes scopes;       // to ask for in the place of what the server names
};
// How a client with or without a secret proves itself to it; PluginError when in no way that we
// can.
std::string choose_auth(const IssuerMetadata& issuer, bool has_secret);
std::string registration(const std::string& redirect, const std::string& auth);
OAuthClient read_registration(std::string_view json, const std::string& asked_auth);

struct OAuthTokens {
  Secret access, refresh;  // the second may be empty
};
OAuthTokens read_tokens(std::string_view json);
// "invalid_grant: it has expired"; empty: it is no error of OAuth.
std::string read_oauth_error(std::string_view json);

// The code out of a redirect's query. Nothing when it is not the answer to `state`: anyone may send
// one. PluginError when it is and says no, or comes from someone else than the issuer.
std::optional<Secret> read_redirect(std::string_view query, const std::string& state,
                                    const IssuerMetadata& issuer);

}  // namespace corvid::plugins
