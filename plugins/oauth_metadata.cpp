#include "plugins/oauth_metadata.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "plugins/error.h"
#include "tools/arguments.h"
#include "tools/text.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxShownBytes = 300;
constexpr std::size_t kMaxListed = 64;
constexpr std::size_t kMaxTokenBytes = 16 << 10;

std::string shown(std::string_view text) {
  return tools::visible_name(tools::utf8_prefix(tools::escape_invalid(text), kMaxShownBytes));
}

ordered_json parse_object(std::string_view text, const char* what) {
  ordered_json json;
  if (tools::json_depth(text) <= tools::kMaxJsonDepth) {
    json = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  }
  if (!json.is_object()) throw PluginError(std::string(what) + " is no JSON object");
  return json;
}

std::string text_of(const ordered_json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

std::vector<std::string> list_of(const ordered_json& json, const char* key) {
  std::vector<std::string> texts;
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array()) return texts;
  for (const ordered_json& item : *found) {
    if (item.is_string() && texts.size() < kMaxListed) texts.push_back(item.get<std::string>());
  }
  return texts;
}

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

Scopes scopes_of(const ordered_json& json) {
  return split_scopes(joined(list_of(json, "scopes_supported")));
}

std::string checked_url(const ordered_json& json, const char* key, Reach reach) {
  std::string url = text_of(json, key);
  const std::string problem = url_problem(url, reach);
  if (!problem.empty())
    throw PluginError("its " + std::string(key) + " " + shown(url) + " " + problem);
  return url;
}

// What goes into a header or a form: visible ASCII.
Secret credential_of(const ordered_json& json, const char* key) {
  std::string text = text_of(json, key);
  const bool good =
      text.size() <= kMaxTokenBytes &&
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7F; });
  if (!good) throw PluginError("its " + std::string(key) + " is not what one looks like");
  return Secret(std::move(text));
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

std::string without_last_slash(std::string path) {
  if (path.ends_with('/')) path.pop_back();
  return path;
}

// Of one origin, and the path the same or above.
bool covers(const WebUrl& resource, const WebUrl& server) {
  const std::string above = without_last_slash(resource.path);
  return resource.origin() == server.origin() && resource.query.empty() &&
         (server.path + "/").starts_with(above + "/");
}

}  // namespace

std::vector<std::string> resource_places(const WebUrl& server) {
  const std::string root = server.origin() + "/.well-known/oauth-protected-resource";
  const std::string path = without_last_slash(server.path);
  if (path.empty()) return {root};
  return {root + path, root};
}

std::vector<std::string> issuer_places(const WebUrl& issuer) {
  const std::string root = issuer.origin() + "/.well-known/";
  const std::string path = without_last_slash(issuer.path);
  std::vector<std::string> places = {root + "oauth-authorization-server" + path,
                                     root + "openid-configuration" + path};
  if (!path.empty()) places.push_back(issuer.origin() + path + "/.well-known/openid-configuration");
  return places;
}

ResourceMetadata read_resource(std::string_view json, const WebUrl& server, Reach reach) {
  const ordered_json object = parse_object(json, "its metadata");
  ResourceMetadata found;
  found.resource = text_of(object, "resource");
  const auto resource = parse_url(found.resource);
  if (!resource || !covers(*resource, server)) {
    throw PluginError("its metadata is about another server, " + shown(found.resource));
  }
  for (std::string& issuer : list_of(object, "authorization_servers")) {
    const std::string problem = url_problem(issuer, reach);
    if (!problem.empty()) {
      throw PluginError("its authorization server " + shown(issuer) + " " + problem);
    }
    found.issuers.push_back(std::move(issuer));
  }
  if (found.issuers.empty()) throw PluginError("its metadata names no authorization server");
  found.scopes = scopes_of(object);
  return found;
}

IssuerMetadata read_issuer(std::string_view json, const std::string& issuer, Reach reach) {
  const ordered_json object = parse_object(json, "the metadata of the authorization server");
  IssuerMetadata found;
  found.issuer = text_of(object, "issuer");
  if (found.issuer != issuer) {
    throw PluginError("the metadata of the authorization server " + issuer +
                      " is of another issuer, " + shown(found.issuer));
  }
  found.authorization_endpoint = checked_url(object, "authorization_endpoint", reach);
  found.token_endpoint = checked_url(object, "token_endpoint", reach);
  if (object.contains("registration_endpoint")) {
    found.registration_endpoint = checked_url(object, "registration_endpoint", reach);
  }
  if (!contains(list_of(object, "code_challenge_methods_supported"), "S256")) {
    throw PluginError("the authorization server " + issuer + " does not offer PKCE with S256");
  }
  found.token_auth = list_of(object, "token_endpoint_auth_methods_supported");
  found.scopes = scopes_of(object);
  const auto is_true = [&](const char* key) { return object.value(key, ordered_json()) == true; };
  found.takes_client_url = is_true("client_id_metadata_document_supported");
  found.says_iss = is_true("authorization_response_iss_parameter_supported");
  return found;
}

std::string choose_auth(const IssuerMetadata& issuer, bool has_secret) {
  const auto& offered = issuer.token_auth;
  if (!has_secret) return "none";
  for (const char* way : {"client_secret_basic", "client_secret_post"}) {
    if (offered.empty() || contains(offered, way)) return way;
  }
  throw PluginError("the authorization server " + issuer.issuer +
                    " takes a client's secret in no way that Corvid knows");
}

std::string registration(const std::string& redirect, const std::string& auth) {
  const ordered_json client = {
      {"client_name", "Corvid"},     {"application_type", "native"},
      {"redirect_uris", {redirect}}, {"grant_types", {"authorization_code", "refresh_token"}},
      {"response_types", {"code"}},  {"token_endpoint_auth_method", auth}};
  return client.dump();
}

OAuthClient read_registration(std::string_view json, const std::string& asked_auth) {
  const ordered_json object = parse_object(json, "the answer to our registration");
  OAuthClient client;
  client.id = credential_of(object, "client_id").reveal();
  client.secret = credential_of(object, "client_secret");
  if (client.id.empty()) throw PluginError("the answer to our registration has no client_id");
  client.auth = text_of(object, "token_endpoint_auth_method");
  if (client.auth.empty()) client.auth = asked_auth;
  if (client.secret.empty()) client.auth = "none";
  if (client.auth != "client_secret_post" && client.auth != "none") {
    client.auth = "client_secret_basic";
  }
  return client;
}

OAuthTokens read_tokens(std::string_view json) {
  const ordered_json object = parse_object(json, "the token that came");
  OAuthTokens tokens{credential_of(object, "access_token"), credential_of(object, "refresh_token")};
  if (tokens.access.empty()) throw PluginError("the answer has no access_token");
  if (lower(text_of(object, "token_type")) != "bearer") {
    throw PluginError("the token that came is of a type that Corvid does not know, " +
                      shown(text_of(object, "token_type")));
  }
  return tokens;
}

std::string read_oauth_error(std::string_view json) {
  if (tools::json_depth(json) > tools::kMaxJsonDepth) return {};
  const ordered_json object = ordered_json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || text_of(object, "error").empty()) return {};
  const std::string more = text_of(object, "error_description");
  return shown(text_of(object, "error") + (more.empty() ? "" : ": " + more));
}

std::optional<Secret> read_redirect(std::string_view query, const std::string& state,
                                    const IssuerMetadata& issuer) {
  const auto fields = parse_form(query);
  if (!fields) return {};
  const auto field = [&](const char* name) {
    const auto found = fields->find(name);
    return found == fields->end() ? std::string() : found->second;
  };
  if (state.empty() || field("state") != state) return {};
  // Compared as it is (RFC 9207, section 2.4): an answer of another issuer is none of ours.
  const bool has_iss = fields->contains("iss");
  if (has_iss ? field("iss") != issuer.issuer : issuer.says_iss) {
    throw PluginError("the redirect does not come from " + issuer.issuer +
                      (has_iss ? ", but from " + shown(field("iss")) : ": it does not say so"));
  }
  if (fields->contains("error")) {
    const std::string more = field("error_description");
    throw PluginError("the authorization server says: " +
                      shown(field("error") + (more.empty() ? "" : ": " + more)));
  }
  if (field("code").empty()) throw PluginError("the redirect has no code");
  return Secret(field("code"));
}

}  // namespace corvid::plugins
