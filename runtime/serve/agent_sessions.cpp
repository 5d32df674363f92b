#include "runtime/serve/agent_sessions.h"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "model/text/json_field.h"
#include "runtime/json_line.h"
#include "runtime/serve/access.h"
#include "runtime/serve/agent_requests.h"
#include "runtime/serve/api_error.h"
#include "sandbox/offload.h"

namespace corvid::runtime {
namespace {

using Clock = asio::steady_timer::clock_type;
using Json = nlohmann::ordered_json;
using model::JsonField;

constexpr std::string_view kRoot = "/v1/sessions";
constexpr std::size_t kMaxOpen = 64;
constexpr int kMaxListed = 1000;
constexpr std::size_t kIdBytes = 8;
constexpr std::string_view kKeepAlive = ": waiting\n\n";

// "/v1/sessions/ID/prompt" -> {"ID", "prompt"}
std::vector<std::string> words_of(std::string_view path) {
  std::vector<std::string> words;
  path.remove_prefix(kRoot.size());
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    words.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return words;
}

std::optional<EventLog::Place> place_of(const HttpRequest& request) {
  std::string_view id = request.header("last-event-id").value_or("");
  if (id.empty() && request.query.starts_with("after="))
    id = std::string_view(request.query).substr(6);
  return id.empty() ? EventLog::Place() : EventLog::read_place(id);
}

}  // namespace

// A question that waits for its answer, told when it comes and when it goes.
struct AgentSessions::Question {
  Question(Live& live, tools::Request request);
  ~Question();

  Live& live;
  const std::string id;
  std::optional<Approvals::Answer> answer;
  asio::steady_timer answered;
};

struct AgentSessions::Live {
  Live(const asio::any_io_executor& io, const memory::SessionInfo& info, Settings settings)
      : id(info.id),
        owner(owner_of(info.header)),
        settings(std::move(settings)),
        log(io, info.steps),
        idle(io) {}

  bool is_busy() const { return working || settling; }

  const std::string id;
  const std::uint64_t owner;
  const Settings settings;
  EventLog log;
  std::unique_ptr<Agent> agent;  // null: not open
  bool working = false, settling = false;
  asio::steady_timer idle;            // cancelled when it is settled
  asio::cancellation_signal stopped;  // of settling
  Question* question = nullptr;
  int questions = 0;
  Clock::time_point used = Clock::now();
};

AgentSessions::Question::Question(Live& live, tools::Request request)
    : live(live),
      id("ask_" + std::to_string(++live.questions)),
      answered(live.idle.get_executor()) {
  live.question = this;
  live.agent->events().publish(ApprovalAsked{id, request.what, request.flag});
}

AgentSessions::Question::~Question() {
  live.question = nullptr;
  const auto given = answer.value_or(Approvals::Answer::no);
  live.agent->events().publish(ApprovalAnswered{id, std::string(name(given))});
}

AgentSessions::AgentSessions(Commons& commons, Options options)
    : commons_(commons), options_(std::move(options)) {}

AgentSessions::~AgentSessions() = default;

template <typename Read>
asio::awaitable<std::invoke_result_t<Read&, const JsonField&>> AgentSessions::read_body(
    std::shared_ptr<Exchange> exchange, Read read) {
  auto work = [exchange, read] {
    const model::JsonDocument body(exchange->request().body, "the body");
    return read(body.root());
  };
  co_return co_await sandbox::offload(commons_.workers, std::move(work));
}

template <typename Work>
asio::awaitable<std::invoke_result_t<Work&, memory::Journal&>> AgentSessions::with_journal(
    Work work) {
  auto task = [this, work] { return work(commons_.journal()); };
  co_return co_await sandbox::offload(commons_.journal_thread, std::move(task));
}

// --- Requests. -----------------------------------------------------------------------------------

bool AgentSessions::has(std::string_view path) {
  return path == kRoot || (path.starts_with(kRoot) && path[kRoot.size()] == '/');
}

asio::awaitable<void> AgentSessions::handle(std::shared_ptr<Exchange> exchange) {
  const HttpRequest& request = exchange->request();
  std::vector<std::string> words = words_of(request.path);
  if (words.size() == 2 && words[1] == "events") {
    if (request.method != "GET") throw wrong_method(request.path, "GET");
    const Asked asked{words[0], owner_of(request)};
    co_return co_await follow(exchange, asked);
  }
  auto work = answer(exchange, std::move(words));
  HttpAnswer answer = co_await std::move(work);
  co_await exchange->answer(std::move(answer));
}

asio::awaitable<HttpAnswer> AgentSessions::answer(std::shared_ptr<Exchange> exchange,
                                                  std::vector<std::string> words) {
  const HttpRequest& request = exchange->request();
  const bool is_get = request.method == "GET", is_post = request.method == "POST";
  if (!is_get && !is_post) throw wrong_method(request.path, "GET, POST");
  const std::uint64_t owner = owner_of(request);
  if (words.empty() && is_get) co_return co_await list(owner);
  if (words.empty()) co_return co_await create(exchange);
  const Asked asked{words[0], owner};
  if (words.size() == 1 && is_get) co_return co_await describe(asked);
  if (!is_post) throw ApiError(404, "there is nothing to GET at " + request.path);
  if (words.size() == 2 && words[1] == "prompt") co_return co_await prompt(exchange, asked);
  if (words.size() == 2 && words[1] == "interrupt") co_return co_await interrupt(asked);
  if (words.size() == 3 && words[1] == "approvals") {
    co_return co_await approve(exchange, asked, words[2]);
  }
  throw ApiError(404, "there is nothing to POST to at " + request.path);
}

asio::awaitable<HttpAnswer> AgentSessions::list(std::uint64_t owner) {
  auto reading = with_journal([](memory::Journal& journal) { return journal.list(kMaxListed); });
  const std::vector<memory::SessionInfo> all = co_await std::move(reading);
  Json sessions = Json::array();
  for (const memory::SessionInfo& info : all) {
    if (may_see(info, owner)) sessions.push_back(told(info));
  }
  co_return HttpAnswer{.body = json_line({{"sessions", std::move(sessions)}})};
}

asio::awaitable<HttpAnswer> AgentSessions::describe(Asked asked) {
  auto reading = info_of(std::move(asked));
  const memory::SessionInfo info = co_await std::move(reading);
  co_return HttpAnswer{.body = json_line(told(info))};
}

asio::awaitable<HttpAnswer> AgentSessions::create(std::shared_ptr<Exchange> exchange) {
  auto read = [this](const JsonField& body) {
    return read_session(body, options_.settings, options_.workspaces);
  };
  auto reading = read_body(exchange, read);
  AgentOptions options = co_await std::move(reading);
  options.owner = owner_of(exchange->request());
  make_room();
  const Settings settings = options.settings;
  auto making = make_agent(std::move(options));
  std::unique_ptr<Agent> agent = co_await std::move(making);
  const memory::SessionInfo info = agent->info();
  auto live = std::make_shared<Live>(commons_.io, info, settings);
  live_.emplace(info.id, live);
  begin(live, std::move(agent));
  co_return HttpAnswer{.status = 201, .body = json_line(told(info))};
}

asio::awaitable<HttpAnswer> AgentSessions::prompt(std::shared_ptr<Exchange> exchange,
                                                  Asked asked) {
  auto reading = read_body(exchange, read_prompt);
  std::string text = co_await std::move(reading);
  const SharedLive live = co_await find(std::move(asked));
  if (live->working) {
    throw ApiError(409, "the session works on a prompt; interrupt it, or wait for turn_finished");
  }
  if (working_ >= options_.working) {
    throw ApiError(429, std::to_string(working_) + " sessions are working; try again later");
  }
  live->working = true;
  ++working_;
  std::exception_ptr failure;
  try {
    co_await open(live);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure || stopping_) {
    live->working = false;
    --working_;
    close(live);
    if (failure) std::rethrow_exception(failure);
    throw ApiError(503, "the server is stopping");
  }
  const std::string before = live->log.last_id();
  asio::co_spawn(commons_.io, live->agent->session().prompt(std::move(text)),
                 [this, live](std::exception_ptr, Outcome) { turn_ended(live); });
  co_return HttpAnswer{.status = 202,
                       .body = json_line({{"id", live->id}, {"last_event_id", before}})};
}

asio::awaitable<HttpAnswer> AgentSessions::interrupt(Asked asked) {
  const SharedLive live = co_await find(std::move(asked));
  if (live->working && live->agent) live->agent->session().interrupt();
  co_return HttpAnswer{.body = json_line({{"interrupted", live->working}})};
}

asio::awaitable<HttpAnswer> AgentSessions::approve(std::shared_ptr<Exchange> exchange,
                                                   Asked asked, std::string question_id) {
  auto reading = read_body(exchange, read_answer);
  const Approvals::Answer answer = co_await std::move(reading);
  const SharedLive live = co_await find(std::move(asked));
  Question* const question = live->question;
  if (!question || question->id != question_id || question->answer) {
    throw ApiError(404, "there is no question '" + question_id + "' at present");
  }
  question->answer = answer;
  question->answered.cancel();
  co_return HttpAnswer{.body = json_line({{"id", question_id}, {"answer", name(answer)}})};
}

asio::awaitable<void> AgentSessions::follow(std::shared_ptr<Exchange> exchange, Asked asked) {
  std::optional<EventLog::Place> place = place_of(exchange->request());
  if (!place) throw ApiError(400, "Last-Event-ID: this is no id of an event");
  const SharedLive live = co_await find(std::move(asked));
  co_await exchange->begin_events();
  bool gone = false;
  const OnHangUp on_hang_up(*exchange, [&gone, live] {
    gone = true;
    live->log.wake();
  });
  auto steps = [id = live->id](memory::Journal& journal) { return journal.steps(id); };
  while (!gone && !stopping_) {
    std::string events;
    if (live->log.holds(*place)) {
      events = live->log.told_after(*place);
    } else {
      auto reading = with_journal(steps);
      const std::vector<memory::Step> journaled = co_await std::move(reading);
      events = live->log.told_after(*place, live->id, journaled);
    }
    if (events.empty()) {
      const auto until = Clock::now() + options_.keep_alive;
      co_await live->log.wait(*place, until);
      if (Clock::now() >= until) events = kKeepAlive;
    }
    if (!gone) co_await exchange->send(std::move(events));
  }
  co_await exchange->end_events();
}

// --- Sessions. -----------------------------------------------------------------------------------

Json AgentSessions::told(const memory::SessionInfo& info) const {
  const auto live = live_.find(info.id);
  return {{"id", info.id},
          {"title", info.title},
          {"workspace", info.header.workspace},
          {"model", info.header.model},
          {"created_ms", info.created_ms},
          {"updated_ms", info.updated_ms},
          {"steps", info.steps},
          {"working", live != live_.end() && live->second->working}};
}

bool AgentSessions::may_see(const memory::SessionInfo& info, std::uint64_t owner) const {
  return lies_in_one_of(info.header.workspace, options_.workspaces) &&
         (!options_.keys || owner_of(info.header) == owner);
}

asio::awaitable<memory::SessionInfo> AgentSessions::info_of(Asked asked) {
  const std::string& id = asked.id;
  std::optional<memory::SessionInfo> info;
  if (id.size() >= kIdBytes) {  // the journal would take its beginning, too
    auto reading = with_journal([id](memory::Journal& journal) { return journal.find(id); });
    info = co_await std::move(reading);
  }
  if (!info || info->id != id || !may_see(*info, asked.owner)) {
    throw ApiError(404, "there is no session '" + id + "' in the workspaces of this server");
  }
  co_return std::move(*info);
}

// The session as its followers know it; the journal may have gone on without this server.
asio::awaitable<AgentSessions::SharedLive> AgentSessions::find(Asked asked) {
  auto reading = info_of(std::move(asked));
  const memory::SessionInfo info = co_await std::move(reading);
  auto found = live_.find(info.id);
  if (found == live_.end()) {
    make_room();
    const Settings settings = settings_of(info.header, options_.settings);
    auto live = std::make_shared<Live>(commons_.io, info, settings);
    found = live_.emplace(info.id, std::move(live)).first;
  }
  const SharedLive live = found->second;
  live->used = Clock::now();
  if (!live->is_busy() && info.steps > live->log.last().step) {
    live->agent.reset();
    live->log.skip_to(info.steps);
  }
  co_return live;
}

asio::awaitable<void> AgentSessions::open(SharedLive live) {
  while (live->settling) {
    live->idle.expires_at(Clock::time_point::max());
    boost::system::error_code settled;
    auto token = asio::redirect_error(asio::use_awaitable, settled);
    co_await live->idle.async_wait(token);
  }
  if (live->agent || stopping_) co_return;
  AgentOptions options{.settings = live->settings};
  options.id = live->id;
  options.owner = live->owner;
  auto making = make_agent(std::move(options));
  std::unique_ptr<Agent> agent = co_await std::move(making);
  begin(live, std::move(agent));
}

asio::awaitable<std::unique_ptr<Agent>> AgentSessions::make_agent(AgentOptions options) {
  auto make = [this, options](memory::Journal&) {
    return std::make_unique<Agent>(options, commons_);
  };
  auto making = with_journal(std::move(make));
  co_return co_await std::move(making);
}

void AgentSessions::begin(SharedLive live, std::unique_ptr<Agent> agent) {
  live->agent = std::move(agent);
  live->log.skip_to(live->agent->steps());
  if (live->settings.sandbox.ask) {
    live->agent->approvals().ask_with(
        [this, &live = *live](tools::Request request) { return ask(live, std::move(request)); });
  }
  live->agent->begin(live->log);
}

asio::awaitable<Approvals::Answer> AgentSessions::ask(Live& live, tools::Request request) {
  Question question(live, std::move(request));
  question.answered.expires_after(options_.patience);
  boost::system::error_code answered;
  auto token = asio::redirect_error(asio::use_awaitable, answered);
  co_await question.answered.async_wait(token);
  co_return question.answer.value_or(Approvals::Answer::no);
}

// Reasoning is dropped in idle time; the next prompt waits for it.
void AgentSessions::turn_ended(SharedLive live) {
  live->working = false;
  --working_;
  live->used = Clock::now();
  if (stopping_) return close(live);
  live->settling = true;
  auto ended = [this, live](std::exception_ptr) {  // what failed is tried again by the next prompt
    live->settling = false;
    live->idle.cancel();
    if (stopping_) close(live);
  };
  asio::co_spawn(commons_.io, live->agent->session().settle(),
                 asio::bind_cancellation_slot(live->stopped.slot(), std::move(ended)));
}

// Once whoever calls this is done with the agent.
void AgentSessions::close(SharedLive live) {
  asio::post(commons_.io, [live] { live->agent.reset(); });
}

// Closes the session that nobody has used for longest when there are too many.
void AgentSessions::make_room() {
  if (live_.size() < kMaxOpen) return;
  const auto may_go = [](const auto& entry) {
    const Live& live = *entry.second;
    return entry.second.use_count() == 1 && !live.is_busy() &&
           (!live.agent || live.agent->jobs().empty());
  };
  auto oldest = live_.end();
  for (auto entry = live_.begin(); entry != live_.end(); ++entry) {
    const bool older = oldest == live_.end() || entry->second->used < oldest->second->used;
    if (may_go(*entry) && older) oldest = entry;
  }
  if (oldest == live_.end()) throw ApiError(429, "too many sessions are open; try again later");
  live_.erase(oldest);
}

void AgentSessions::stop() {
  stopping_ = true;
  for (const auto& [id, live] : live_) {
    live->log.wake();
    if (live->working && live->agent) live->agent->session().interrupt();
    if (live->settling) live->stopped.emit(asio::cancellation_type::terminal);
    if (!live->is_busy()) live->agent.reset();
  }
}

}  // namespace corvid::runtime
