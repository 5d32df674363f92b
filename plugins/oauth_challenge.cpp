#include "plugins/oauth_challenge.h"

#include <algorithm>
#include <utility>

namespace corvid::plugins {
namespace {

constexpr std::size_t kMaxScopes = 64;
constexpr std::size_t kMaxScopeBytes = 200;

// RFC 6749, section 3.3
bool is_scope(std::string_view text) {
  return !text.empty() && text.size() <= kMaxScopeBytes &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c > 0x20 && c < 0x7F && c != '"' && c != '\\'; });
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

// Reads a WWW-Authenticate header: challenges of a scheme and parameters (RFC 9110,
// section 11.6.1).
class ChallengeReader {
 public:
  explicit ChallengeReader(std::string_view text) : rest_(text) {}

  // The parameters of the first Bearer challenge. A word without "=" begins a challenge.
  std::vector<std::pair<std::string, std::string>> bearer() {
    std::vector<std::pair<std::string, std::string>> parameters;
    bool ours = false;
    while (skip(" \t,"), !rest_.empty()) {
      const std::string name = word();
      if (name.empty()) break;
      skip(" \t");
      if (!rest_.starts_with('=')) {
        if (ours) break;
        ours = name == "bearer";
        continue;
      }
      rest_.remove_prefix(1);
      skip(" \t=");  // the padding of a token68, too
      std::string value = rest_.starts_with('"') ? quoted() : plain();
      if (ours) parameters.emplace_back(name, std::move(value));
    }
    return parameters;
  }

 private:
  void skip(std::string_view what) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(what), rest_.size()));
  }
  std::string_view take(std::size_t n) {
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string word() { return lower(std::string(take(rest_.find_first_of(" \t,=\"")))); }
  std::string plain() { return std::string(take(rest_.find_first_of(" \t,"))); }
  std::string quoted() {
    std::string text;
    rest_.remove_prefix(1);
    while (!rest_.empty() && rest_.front() != '"') {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      text += rest_.front();
      rest_.remove_prefix(1);
    }
    take(1);
    return text;
  }

  std::string_view rest_;
};

}  // namespace

Scopes split_scopes(std::string_view text) {
  Scopes scopes;
  while (!text.empty() && scopes.size() < kMaxScopes) {
    const std::string_view scope = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(scope.size() + 1, text.size()));
    if (is_scope(scope)) add_scopes(scopes, {std::string(scope)});
  }
  return scopes;
}

std::string joined(const Scopes& scopes) {
  std::string text;
  for (const std::string& scope : scopes) text += (text.empty() ? "" : " ") + scope;
  return text;
}

void add_scopes(Scopes& to, const Scopes& more) {
  for (const std::string& scope : more) {
    if (std::find(to.begin(), to.end(), scope) == to.end()) to.push_back(scope);
  }
}

AuthChallenge parse_challenge(std::string_view header) {
  AuthChallenge challenge;
  for (auto& [name, value] : ChallengeReader(header).bearer()) {
    if (name == "error") challenge.error = std::move(value);
    if (name == "scope") challenge.scopes = split_scopes(value);
    if (name == "resource_metadata") challenge.resource_metadata = std::move(value);
  }
  return challenge;
}

}  // namespace corvid::plugins
