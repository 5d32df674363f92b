// What strangers say of logins: headers, metadata, addresses and redirects, as pure values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "plugins/error.h"
#include "plugins/mcp_headers.h"
#include "plugins/oauth_listener.h"
#include "plugins/oauth_metadata.h"
#include "plugins/sha256.h"

namespace corvid::plugins {
namespace {

using nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string hex(std::string_view bytes) {
  std::string text;
  for (unsigned char c : sha256(bytes)) {
    for (int digit : {c >> 4, c & 15}) text += "0123456789abcdef"[digit];
  }
  return text;
}

TEST(Sha256, IsTheStandards) {  // FIPS 180-4's examples, and RFC 7636's, appendix B
  EXPECT_EQ(hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  const auto digest = sha256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
  EXPECT_EQ(base64({reinterpret_cast<const char*>(digest.data()), digest.size()}),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM=");
}

TEST(AuthChallenge, IsFoundAmongOthers) {
  const AuthChallenge challenge = parse_challenge(
      R"(Basic realm="a, Bearer b=c", Bearer error="insufficient_scope",scope="a b a" , )"
      R"(resource_metadata="https://x.example/\"m\"", Digest error="other")");
  EXPECT_EQ(challenge.error, "insufficient_scope");
  EXPECT_THAT(challenge.scopes, ElementsAre("a", "b"));
  EXPECT_EQ(challenge.resource_metadata, R"(https://x.example/"m")");
  EXPECT_EQ(parse_challenge("bearer Error=invalid_token").error, "invalid_token");
  EXPECT_EQ(parse_challenge("Negotiate abc==, Bearer error=x").error, "x");
}

TEST(AuthChallenge, GarbageIsNone) {
  for (const char* text : {"", "Bearer", "Basic error=x", "\"Bearer error=x", "Bearer error",
                           "=,=,= Bearer", "Bearer scope=\"\\\"\x01"}) {
    const AuthChallenge challenge = parse_challenge(text);
    EXPECT_EQ(challenge.error + challenge.resource_metadata, "") << text;
    EXPECT_THAT(challenge.scopes, IsEmpty()) << text;
  }
}

TEST(WebUrl, IsStrict) {
  const auto url = parse_url("https://Example.com:8443/a/b?c=d");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->origin(), "https://example.com:8443");
  EXPECT_EQ(url->path + "|" + url->query, "/a/b|c=d");
  EXPECT_EQ(parse_url("https://[::1]:443?x")->origin(), "https://[::1]");
  for (const char* text : {"",
                           "https://",
                           "file:///etc/passwd",
                           "javascript:alert(1)",
                           "https://a@b/",
                           "//a/b",
                           "https://a b/",
                           "https://a/$(x)",
                           "https://a/`x`",
                           "https://a/;x",
                           "https://a/'x",
                           "ftp://a",
                           "https://a/\"x",
                           "https://a/\x1b",
                           "https://a/\xC3\xA4",
                           "https://a/#x",
                           "https://a:0/",
                           "https://a\\b/",
                           "https://0x7f000001/",
                           "https://127.1/",
                           "HTTPS://a/",
                           "https://a:b/"}) {
    EXPECT_FALSE(parse_url(text)) << text;
  }
  EXPECT_FALSE(parse_url("https://a/" + std::string(5000, 'a')));
}

TEST(WebUrl, HttpIsForThisMachineAlone) {
  EXPECT_EQ(url_problem("http://127.0.0.1:80/", Reach::machine), "");
  EXPECT_EQ(url_problem("http://localhost/", Reach::machine), "");
  EXPECT_EQ(url_problem("http://10.0.0.1/", Reach::machine), "is not https");
  EXPECT_EQ(url_problem("http://a.example/", Reach::machine), "is not https");
  EXPECT_EQ(url_problem("https://10.0.0.1/", Reach::network), "");
  EXPECT_EQ(url_problem("https://[::1]/", Reach::network), "lies on this machine");
  EXPECT_EQ(url_problem("https://0.0.0.0/", Reach::network), "lies on this machine");
  EXPECT_EQ(url_problem("https://[::ffff:127.0.0.1]/", Reach::network), "lies on this machine");
  EXPECT_EQ(url_problem("https://a.localhost/", Reach::internet), "lies on this machine");
  EXPECT_EQ(url_problem("https://192.168.0.1/", Reach::internet), "lies in a private network");
}

TEST(WebUrl, FormsComeBackAsTheyWere) {
  const FormFields fields = {{"a b", "c&d=e"}, {"f", "\xC3\xA4+%"}, {"g", ""}};
  const auto read = parse_form(form(fields));
  ASSERT_TRUE(read);
  for (const auto& [name, value] : fields) EXPECT_EQ(read->at(name), value);
  EXPECT_EQ(parse_form("a=b+c")->at("a"), "b c");
  for (const char* text : {"a=%", "a=%4", "a=%zz", "a=1&a=2"}) EXPECT_FALSE(parse_form(text));
}

TEST(OAuthMetadata, LiesWhereTheStandardsSay) {
  EXPECT_THAT(resource_places(*parse_url("https://a.example/b/mcp")),
              ElementsAre("https://a.example/.well-known/oauth-protected-resource/b/mcp",
                          "https://a.example/.well-known/oauth-protected-resource"));
  EXPECT_THAT(issuer_places(*parse_url("https://a.example/t1/")),
              ElementsAre("https://a.example/.well-known/oauth-authorization-server/t1",
                          "https://a.example/.well-known/openid-configuration/t1",
                          "https://a.example/t1/.well-known/openid-configuration"));
  EXPECT_THAT(issuer_places(*parse_url("https://a.example")),
              ElementsAre("https://a.example/.well-known/oauth-authorization-server",
                          "https://a.example/.well-known/openid-configuration"));
}

TEST(OAuthMetadata, IsAboutTheServerOrWhatLiesAboveIt) {
  const WebUrl server = *parse_url("https://a.example/b/mcp");
  const auto read = [&](const char* resource) {
    const ordered_json json = {{"resource", resource},
                               {"authorization_servers", {"https://i.example"}}};
    return read_resource(json.dump(), server, Reach::internet).resource;
  };
  for (const char* good : {"https://a.example", "https://a.example/", "https://a.example/b",
                           "https://a.example/b/mcp", "https://a.example:443/b/mcp/"}) {
    EXPECT_EQ(read(good), good) << "as it is published";
  }
  for (const char* bad : {"https://b.example/b/mcp", "https://a.example/b/mc", "",
                          "http://a.example/b/mcp", "https://a.example/b/mcp/more",
                          "https://a.example:8443/b/mcp", "https://a.example/b?x=y"}) {
    EXPECT_THROW(read(bad), PluginError) << bad;
  }
}

TEST(OAuthMetadata, NeedsAnIssuerAndProofOfPossession) {
  ordered_json json = {{"issuer", "https://i.example"},
                       {"authorization_endpoint", "https://i.example/a"},
                       {"token_endpoint", "https://i.example/t"},
                       {"code_challenge_methods_supported", {"S256"}},
                       {"client_id_metadata_document_supported", true}};
  EXPECT_TRUE(read_issuer(json.dump(), "https://i.example", Reach::internet).takes_client_url);
  EXPECT_THROW(read_issuer(json.dump(), "https://i.example/", Reach::internet), PluginError);
  for (const char* key :
       {"issuer", "authorization_endpoint", "token_endpoint", "code_challenge_methods_supported"}) {
    ordered_json without = json;
    without.erase(key);
    EXPECT_THROW(read_issuer(without.dump(), "https://i.example", Reach::internet), PluginError);
    without[key] = 7;
    EXPECT_THROW(read_issuer(without.dump(), "https://i.example", Reach::internet), PluginError);
  }
}

TEST(OAuthMetadata, AClientProvesItselfAsTheServerWantsIt) {
  IssuerMetadata issuer;
  EXPECT_EQ(choose_auth(issuer, false), "none");
  EXPECT_EQ(choose_auth(issuer, true), "client_secret_basic");
  issuer.token_auth = {"private_key_jwt", "client_secret_post"};
  EXPECT_EQ(choose_auth(issuer, true), "client_secret_post");
  issuer.token_auth = {"private_key_jwt"};
  EXPECT_THROW(choose_auth(issuer, true), PluginError);
  EXPECT_EQ(read_registration(R"({"client_id": "a"})", "client_secret_basic").auth, "none");
  EXPECT_EQ(read_registration(R"({"client_id": "a", "client_secret": "b"})", "none").auth, "none");
  EXPECT_EQ(read_registration(R"({"client_id": "a", "client_secret": "b",
                                  "token_endpoint_auth_method": "client_secret_post"})",
                              "none")
                .auth,
            "client_secret_post");
  EXPECT_THROW(read_registration(R"({"client_id": "a b"})", "none"), PluginError);
}

TEST(OAuthMetadata, ATokenIsOneWord) {
  EXPECT_EQ(read_tokens(R"({"access_token": "a", "token_type": "bearer"})").access.reveal(), "a");
  for (const char* bad :
       {"", "[]", R"({"access_token": "a"})", R"({"access_token": "a\nb", "token_type": "Bearer"})",
        R"({"access_token": "", "token_type": "Bearer"})",
        R"({"access_token": "a", "token_type": "DPoP"})",
        R"({"access_token": "a", "token_type": "Bearer", "refresh_token": "a b"})"}) {
    EXPECT_THROW(read_tokens(bad), PluginError) << bad;
  }
}

TEST(OAuthRedirect, IsAnAnswerOnlyToItsQuestionAndFromItsIssuer) {
  IssuerMetadata issuer{.issuer = "https://i.example"};
  EXPECT_EQ(read_redirect("code=a&state=s", "s", issuer)->reveal(), "a");
  EXPECT_EQ(read_redirect("code=a&state=s&iss=https%3A%2F%2Fi.example", "s", issuer)->reveal(),
            "a");
  for (const char* other : {"", "code=a", "code=a&state=t", "code=a&state=s&state=s", "state=%"}) {
    EXPECT_FALSE(read_redirect(other, "s", issuer)) << other;
  }
  EXPECT_THROW(read_redirect("code=a&state=s&iss=https://i.example/", "s", issuer), PluginError);
  EXPECT_THROW(read_redirect("error=x&state=s", "s", issuer), PluginError);
  EXPECT_THROW(read_redirect("state=s", "s", issuer), PluginError);
  issuer.says_iss = true;
  EXPECT_THROW(read_redirect("code=a&state=s", "s", issuer), PluginError);
}

TEST(OAuthRedirect, IsOneRequest) {
  EXPECT_EQ(redirect_query("GET /callback?a=b HTTP/1.1\r\nHost: x\r\n\r\n"), "a=b");
  for (const char* other : {"", "GET /callback?a=b HTTP/1.1", "POST /callback?a=b HTTP/1.1\r\n\r\n",
                            "GET /callback2?a=b HTTP/1.1\r\n\r\n", "GET /callback?a=b\r\n\r\n",
                            "GET / HTTP/1.1\r\n\r\n"}) {
    EXPECT_EQ(redirect_query(other), "") << other;
  }
}

}  // namespace
}  // namespace corvid::plugins
