// Servers may say anything about logins: it is understood or refused, and what was understood keeps
// to the rules for addresses and tokens.
#include <algorithm>
#include <cassert>
#include <cstdint>
#include <string_view>

#include "plugins/error.h"
#include "plugins/oauth_metadata.h"

using namespace corvid::plugins;

namespace {

template <typename Read>
void attempt(Read read) {
  try {
    read();
  } catch (const PluginError& problem) {
    const std::string_view text = problem.what();
    assert(std::none_of(text.begin(), text.end(), [](char c) { return c == '\x1b' || c == '\n'; }));
  }
}

void check_url(const std::string& url) {
  assert(url_problem(url, Reach::internet).empty() && url.starts_with("https://"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const WebUrl server = *parse_url("https://a.example/mcp");
  for (const std::string& scope : parse_challenge(bytes).scopes) {
    assert(split_scopes(scope) == Scopes{scope});
  }
  if (const auto url = parse_url(bytes)) {
    for (const std::string& place : issuer_places(*url)) (void)parse_url(place);
    assert(parse_url(url->origin())->origin() == url->origin());
  }
  attempt([&] {
    const auto found = read_resource(bytes, server, Reach::internet);
    for (const std::string& issuer : found.issuers) check_url(issuer);
    assert(parse_url(found.resource)->host == "a.example");
  });
  attempt([&] {
    const auto found = read_issuer(bytes, "https://i.example", Reach::internet);
    check_url(found.authorization_endpoint);
    check_url(found.token_endpoint);
    assert(found.issuer == "https://i.example");
  });
  attempt([&] { (void)read_registration(bytes, "none"); });
  attempt([&] {
    const std::string token = read_tokens(bytes).access.reveal();
    assert(token.find_first_of("\r\n ") == token.npos && !token.empty());
  });
  attempt([&] { (void)read_redirect(bytes, "s", IssuerMetadata{.issuer = "https://i.example"}); });
  (void)read_oauth_error(bytes);
  return 0;
}
