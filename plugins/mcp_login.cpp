#include "plugins/mcp_login.h"

#include <algorithm>
#include <utility>

#include "plugins/browser.h"
#include "plugins/error.h"

namespace corvid::plugins {
namespace {

bool includes(const Scopes& all, const Scopes& some) {
  return std::all_of(some.begin(), some.end(), [&](const std::string& scope) {
    return std::find(all.begin(), all.end(), scope) != all.end();
  });
}

}  // namespace

McpLogin::McpLogin(const McpServerSpec& spec, Notice notice)
    : name_(spec.name),
      server_(spec.url),
      command_(spec.login_command),
      notice_(std::move(notice)),
      settings_(spec.oauth),
      store_(spec.logins) {}

void McpLogin::use(OAuthLogin login) {
  for (const Secret* secret : {&login.access, &login.refresh, &login.client.secret}) {
    if (!secret->empty()) secrets_.push_back(*secret);
  }
  login_ = std::move(login);
}

std::string McpLogin::header() {
  if (!std::exchange(read_, true)) {
    if (auto kept = store_.find(server_)) use(std::move(*kept));
  }
  return login_ ? "Authorization: Bearer " + login_->access.reveal() : "";
}

std::string McpLogin::redacted(std::string text) const {
  for (const Secret& secret : secrets_) text = secret.redacted(std::move(text));
  return text;
}

// By another session, or by the command.
bool McpLogin::renewed_elsewhere(const std::optional<OAuthLogin>& kept) {
  if (!kept || (login_ && kept->access.reveal() == login_->access.reveal())) return false;
  use(*kept);
  return true;
}

// What cannot be renewed is no failure yet.
asio::awaitable<bool> McpLogin::renew() {
  if (!login_ || login_->refresh.empty()) co_return false;
  try {
    OAuthLogin fresh = co_await refresh(*login_, reach_);
    use(fresh);
    store_.put(std::move(fresh));
    co_return true;
  } catch (const PluginError&) {
    co_return false;
  }
}

// Kept for when the user logs in by the command. Asking once more for what was asked for already
// would lead nowhere.
void McpLogin::note_wanted(const Scopes& wanted) {
  if (!login_ || includes(login_->scopes, wanted)) {
    throw PluginError("it refuses what its login was to allow" +
                      (wanted.empty() ? "" : " (" + joined(wanted) + ")"));
  }
  login_->wanted = wanted;
  store_.put(*login_);
}

asio::awaitable<void> McpLogin::answer(tools::ToolContext& context) {
  AuthChallenge challenge = *std::exchange(challenge_, std::nullopt);
  if (renewed_elsewhere(store_.find(server_))) co_return;
  if (challenge.error == "insufficient_scope") {
    note_wanted(challenge.scopes);
  } else {
    const bool renewed = co_await renew();
    if (renewed) co_return;
  }
  tools::Request request{"log in to the MCP server " + name_ + ", in your browser",
                         "log in to the MCP server " + name_, command_};
  tools::Verdict verdict{false, "`" + command_ + "` on the command line does it."};
  if (context.approve) verdict = co_await context.approve(std::move(request));
  if (!verdict.allowed) throw PluginError("it wants a login. " + verdict.why);
  ShowUrl show = [this](const std::string& url) {
    if (notice_) notice_("To log in to " + name_ + ", open " + url);
    open_in_browser(url);
  };
  co_await log_in(std::move(challenge), std::move(show));
}

asio::awaitable<std::string> McpLogin::log_in(ShowUrl show) {
  AuthChallenge challenge = std::exchange(challenge_, std::nullopt).value_or(AuthChallenge());
  return log_in(std::move(challenge), std::move(show));
}

asio::awaitable<std::string> McpLogin::log_in(AuthChallenge challenge, ShowUrl show) {
  OAuthTask task;
  task.server = server_;
  task.reach = reach_;
  task.challenge = std::move(challenge);
  task.settings = settings_;
  task.before = store_.find(server_);
  OAuthLogin login = co_await plugins::log_in(std::move(task), std::move(show));
  use(login);
  const std::string issuer = login.issuer;
  store_.put(std::move(login));
  co_return issuer;
}

}  // namespace corvid::plugins
