#include "plugins/oauth_login.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <cassert>

#include "plugins/error.h"
#include "plugins/http_client.h"
#include "plugins/mcp_headers.h"
#include "plugins/oauth_listener.h"
#include "plugins/sha256.h"

namespace corvid::plugins {
namespace {

using Wake = HttpExchange::Wake;

constexpr std::chrono::seconds kPatience{20};  // for one answer
constexpr std::size_t kMaxAnswerBytes = 256 << 10;
constexpr std::size_t kRandomBytes = 32;  // 43 letters, as RFC 7636 has it

std::string base64_url(std::string_view bytes) {
  std::string text = base64(bytes);
  while (text.ends_with('=')) text.pop_back();
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

std::string random_text() {
  std::array<char, kRandomBytes> bytes;
  const ssize_t n = ::getrandom(bytes.data(), bytes.size(), 0);
  assert(n == static_cast<ssize_t>(bytes.size()));
  return base64_url({bytes.data(), bytes.size()});
}

struct Answer {
  int status = 0;
  std::string body;
};

// What is asked of the servers that take part in a login.
class Web {
 public:
  Web(const asio::any_io_executor& io, Reach reach) : client_(io), reach_(reach) {}

  asio::awaitable<Answer> get(std::string url) {
    HttpRequest request;
    request.url = std::move(url);
    return ask(std::move(request));
  }
  asio::awaitable<Answer> post(std::string url, const char* type, std::string body,
                               std::vector<std::string> headers = {}) {
    HttpRequest request;
    request.url = std::move(url);
    request.headers = std::move(headers);
    request.headers.push_back(std::string("Content-Type: ") + type);
    request.body = std::move(body);
    return ask(std::move(request));
  }

 private:
  asio::awaitable<Answer> ask(HttpRequest request) {
    const std::string url = request.url;
    const std::string problem = url_problem(url, reach_);
    if (!problem.empty()) throw PluginError(url + " " + problem);
    request.headers.push_back("Accept: application/json");
    request.reach = reach_;
    request.direct = is_loopback(url);
    auto exchange = client_.start(std::move(request));
    const auto until = HttpExchange::Clock::now() + kPatience;
    Answer answer;
    while (!exchange->finished() && answer.body.size() <= kMaxAnswerBytes) {
      const Wake wake = co_await exchange->wait(until);
      if (wake == Wake::cancelled)
        throw boost::system::system_error(asio::error::operation_aborted);
      if (wake == Wake::timeout) throw PluginError(url + " does not answer");
      answer.body += exchange->take();
    }
    answer.status = exchange->status();
    if (answer.status == 0) throw PluginError(exchange->failure().text);
    if (answer.body.size() > kMaxAnswerBytes) throw PluginError(url + " answers without end");
    if (answer.status / 100 == 3) throw PluginError(url + " redirects, which is not followed");
    co_return answer;
  }

  HttpClient client_;
  Reach reach_;
};

// A server from before there was such metadata logs people in itself (MCP 2025-03-26).
asio::awaitable<ResourceMetadata> find_resource(Web& web, const OAuthTask& task) {
  const std::string problem = url_problem(task.server, task.reach);
  if (!problem.empty()) throw PluginError("nobody logs in there: its address " + problem);
  const WebUrl server = *parse_url(task.server);
  const std::string& named = task.challenge.resource_metadata;
  std::vector<std::string> places = resource_places(server);
  if (!named.empty()) places = {named};
  for (const std::string& place : places) {
    const Answer answer = co_await web.get(place);
    if (answer.status == 200) co_return read_resource(answer.body, server, task.reach);
    if (answer.status / 100 != 4) {
      throw PluginError(place + " answers " + std::to_string(answer.status));
    }
  }
  if (!named.empty()) throw PluginError("there is no metadata at " + named);
  ResourceMetadata old;
  old.resource = task.server;
  old.issuers.push_back(server.origin());
  co_return old;
}

std::string choose_issuer(const ResourceMetadata& resource, const OAuthSettings& settings) {
  const auto& all = resource.issuers;
  if (settings.issuer.empty()) return all.front();
  if (std::find(all.begin(), all.end(), settings.issuer) != all.end()) return settings.issuer;
  throw PluginError("it does not log in at the `issuer` of its entry, but at " + all.front());
}

asio::awaitable<IssuerMetadata> find_issuer(Web& web, std::string issuer, Reach reach) {
  for (const std::string& place : issuer_places(*parse_url(issuer))) {
    const Answer answer = co_await web.get(place);
    if (answer.status == 200) co_return read_issuer(answer.body, issuer, reach);
    if (answer.status / 100 != 4) {
      throw PluginError(place + " answers " + std::to_string(answer.status));
    }
  }
  throw PluginError("the authorization server " + issuer + " says nothing about itself");
}

// As the user's entry has it, else by the address of a document about us, else registered anew.
asio::awaitable<OAuthClient> find_client(Web& web, const IssuerMetadata& issuer,
                                         const OAuthSettings& settings, std::string redirect) {
  OAuthClient client{settings.client_id, settings.client_secret, {}};
  const bool is_document = client.id.starts_with("https://");
  if (!client.id.empty() && (!is_document || issuer.takes_client_url)) {
    client.auth = choose_auth(issuer, !client.secret.empty());
    co_return client;
  }
  if (issuer.registration_endpoint.empty()) {
    throw PluginError("the authorization server " + issuer.issuer +
                      " registers nobody by itself: register Corvid there, with the redirect "
                      "http://127.0.0.1/callback, and write \"oauth\": {\"clientId\": ...} into "
                      "the server's entry");
  }
  const auto& offered = issuer.token_auth;
  const bool open = std::find(offered.begin(), offered.end(), "none") != offered.end();
  const std::string auth = choose_auth(issuer, !open);
  std::string body = registration(redirect, auth);
  const Answer answer =
      co_await web.post(issuer.registration_endpoint, "application/json", std::move(body));
  if (answer.status / 100 != 2) {
    const std::string error = read_oauth_error(answer.body);
    throw PluginError("the authorization server " + issuer.issuer + " does not register us: " +
                      (error.empty() ? "it answers " + std::to_string(answer.status) : error));
  }
  co_return read_registration(answer.body, auth);
}

// The entry's own, else those of the challenge, else all; with what was asked for before.
Scopes choose_scopes(const OAuthTask& task, const ResourceMetadata& resource,
                     const IssuerMetadata& issuer) {
  Scopes scopes = task.settings.scopes;
  if (scopes.empty()) scopes = task.challenge.scopes;
  if (scopes.empty()) scopes = resource.scopes;
  if (task.before && task.before->issuer == issuer.issuer) {
    add_scopes(scopes, task.before->scopes);
    add_scopes(scopes, task.before->wanted);
  }
  const auto& known = issuer.scopes;
  const bool lasts = std::find(known.begin(), known.end(), "offline_access") != known.end();
  if (lasts && !scopes.empty()) add_scopes(scopes, {"offline_access"});
  return scopes;
}

// RFC 6749, section 2.3.1
asio::awaitable<OAuthTokens> fetch_tokens(Web& web, std::string endpoint, OAuthClient client,
                                          FormFields fields) {
  std::vector<std::string> headers;
  if (client.auth == "client_secret_basic") {
    headers.push_back("Authorization: Basic " +
                      base64(form_encoded(client.id) + ":" + form_encoded(client.secret.reveal())));
  } else {
    fields.emplace_back("client_id", client.id);
  }
  if (client.auth == "client_secret_post") {
    fields.emplace_back("client_secret", client.secret.reveal());
  }
  const Answer answer = co_await web.post(endpoint, "application/x-www-form-urlencoded",
                                          form(fields), std::move(headers));
  if (answer.status == 200) co_return read_tokens(answer.body);
  std::string error = read_oauth_error(answer.body);
  if (error.empty()) error = "it answers " + std::to_string(answer.status);
  for (const auto& [name, value] : fields) {
    if (name != "client_id" && name != "grant_type") error = Secret(value).redacted(error);
  }
  error = client.secret.redacted(error);
  throw PluginError("no token came from " + endpoint + ": " + error);
}

std::string authorization_url(const OAuthLogin& login, const std::string& endpoint,
                              FormFields more) {
  FormFields fields = {{"response_type", "code"},
                       {"client_id", login.client.id},
                       {"resource", login.resource},
                       {"code_challenge_method", "S256"}};
  fields.insert(fields.end(), more.begin(), more.end());
  if (!login.scopes.empty()) fields.emplace_back("scope", joined(login.scopes));
  const bool has_query = endpoint.find('?') != endpoint.npos;
  return endpoint + (has_query ? "&" : "?") + form(fields);
}

}  // namespace

asio::awaitable<OAuthLogin> log_in(OAuthTask task, ShowUrl show) {
  const auto io = co_await asio::this_coro::executor;
  Web web(io, task.reach);
  const ResourceMetadata resource = co_await find_resource(web, task);
  std::string named = choose_issuer(resource, task.settings);
  const IssuerMetadata issuer = co_await find_issuer(web, std::move(named), task.reach);
  OAuthListener listener(io);

  OAuthLogin login;
  login.server = task.server;
  login.issuer = issuer.issuer;
  login.resource = resource.resource;
  login.token_endpoint = issuer.token_endpoint;
  login.client = co_await find_client(web, issuer, task.settings, listener.redirect());
  login.scopes = choose_scopes(task, resource, issuer);

  const std::string state = random_text(), verifier = random_text();
  const auto digest = sha256(verifier);
  const std::string challenge =
      base64_url({reinterpret_cast<const char*>(digest.data()), digest.size()});
  show(authorization_url(
      login, issuer.authorization_endpoint,
      {{"redirect_uri", listener.redirect()}, {"state", state}, {"code_challenge", challenge}}));
  std::optional<Secret> code;
  OAuthListener::IsAnswer is_answer = [&](const std::string& query) {
    code = read_redirect(query, state, issuer);
    return code.has_value();
  };
  co_await listener.wait(std::move(is_answer), task.patience);

  FormFields fields = {{"grant_type", "authorization_code"},
                       {"code", code->reveal()},
                       {"code_verifier", verifier},
                       {"redirect_uri", listener.redirect()},
                       {"resource", login.resource}};
  OAuthTokens tokens =
      co_await fetch_tokens(web, login.token_endpoint, login.client, std::move(fields));
  login.access = std::move(tokens.access);
  login.refresh = std::move(tokens.refresh);
  co_return login;
}

asio::awaitable<OAuthLogin> refresh(OAuthLogin login, Reach reach) {
  const auto io = co_await asio::this_coro::executor;
  Web web(io, reach);
  FormFields fields = {{"grant_type", "refresh_token"},
                       {"refresh_token", login.refresh.reveal()},
                       {"resource", login.resource}};
  OAuthTokens tokens =
      co_await fetch_tokens(web, login.token_endpoint, login.client, std::move(fields));
  login.access = std::move(tokens.access);
  if (!tokens.refresh.empty()) login.refresh = std::move(tokens.refresh);  // it may stay
  co_return login;
}

}  // namespace corvid::plugins
