#include "runtime/remote_dialogue.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <cstdio>
#include <exception>
#include <utility>

#include "model/text/json_text.h"
#include "plugins/error.h"
#include "plugins/http_client.h"
#include "runtime/error.h"
#include "runtime/remote_endpoint.h"
#include "runtime/remote_history.h"
#include "runtime/reply_reader.h"

namespace corvid::runtime {
namespace {

using Clock = std::chrono::steady_clock;
using plugins::HttpClient;
using plugins::HttpExchange;
using plugins::HttpFailure;
using plugins::HttpRequest;
using plugins::SseParser;
using std::chrono::milliseconds;
using Wake = HttpExchange::Wake;

constexpr milliseconds kTick{1000};            // how often a silent wait is reported
constexpr milliseconds kErrorBodyLimit{1500};  // for the rest of an error response
constexpr std::size_t kErrorBodyLimitBytes = 64u << 10;
constexpr milliseconds kUsageLimit{1000};  // after the finish reason, for usage and [DONE]

// How one attempt at a request ended.
struct Attempt {
  enum class Kind { replied, interrupted, refused, lost } kind = Kind::lost;
  std::optional<ChatReply> reply;  // replied; interrupted when something had come
  int status = 0;                  // refused: the HTTP status
  std::string body;                // refused: of the error
  std::string problem;             // lost: what happened, before anything was shown
  milliseconds retry_after{0};
  double prefill_seconds = 0, decode_seconds = 0;
};

bool is_busy(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504 || status == 529;
}

bool names_reasoning(const Attempt& attempt) {
  return attempt.status == 400 && attempt.body.find("reasoning") != std::string::npos;
}

bool says_context_full(const Attempt& attempt) {
  if (attempt.status != 400 && attempt.status != 413) return false;
  for (const char* mark : {"context_length_exceeded", "exceed_context_size_error",
                           "maximum context length", "context length", "context size"}) {
    if (attempt.body.find(mark) != std::string::npos) return true;
  }
  return false;
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

milliseconds retry_after_of(const HttpExchange& exchange) {
  const std::string text = exchange.header("retry-after");
  int seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::chrono::seconds(std::clamp(seconds, 0, 86'400));
}

class RemoteDialogue final : public Dialogue {
 public:
  RemoteDialogue(asio::any_io_executor io, RemoteOptions options)
      : io_(std::move(io)),
        options_(std::move(options)),
        endpoint_(parse_endpoint(options_.url)),
        dialect_(dialect_named(options_.settings.dialect).value_or(guess_dialect(endpoint_))),
        model_(endpoint_.model),
        context_tokens_(options_.settings.context_tokens),
        history_(reasoning_rule()) {}

  std::string description() const override {
    return model_.empty() ? endpoint_.base : model_ + " at " + endpoint_.host;
  }
  void append(Entry entry) override { history_.append(entry); }
  asio::awaitable<model::Turn> reply(OnDelta on_delta) override;
  std::string verbatim() const override { return verbatim_; }
  // Nothing to compute: the next request simply leaves the dropped reasoning out.
  asio::awaitable<SettleCost> settle() override { co_return SettleCost(); }
  asio::awaitable<void> replace(std::vector<Entry> entries) override;
  Room room() const override { return Room{used_tokens_, context_tokens_}; }

 private:
  asio::awaitable<model::Turn> speak(OnDelta& on_delta);
  asio::awaitable<Attempt> try_once(std::string body, OnDelta& on_delta, milliseconds patience);
  asio::awaitable<bool> read_reply(HttpExchange& exchange, ReplyReader& reader, OnDelta& on_delta,
                                   Attempt& attempt, Clock::time_point start);
  asio::awaitable<void> read_error(HttpExchange& exchange, Attempt& attempt);
  asio::awaitable<bool> await_head(HttpExchange& exchange, OnDelta& on_delta,
                                   Clock::time_point start);
  asio::awaitable<void> choose_model(OnDelta& on_delta);
  asio::awaitable<bool> pause(milliseconds time);

  model::ReasoningRule reasoning_rule() const;
  HttpRequest request(const char* path, std::string body, milliseconds patience) const;
  std::string body() const;
  bool use_other_replay();
  void tell_waiting(OnDelta& on_delta, Clock::time_point start) const;
  void tell(OnDelta& on_delta, std::string notice) const;
  model::Turn accept(Attempt attempt, OnDelta& on_delta);
  [[noreturn]] void refuse(const Attempt& attempt, int n_tries) const;

  asio::any_io_executor io_;
  RemoteOptions options_;
  Endpoint endpoint_;
  Dialect dialect_;
  std::string model_;  // empty until the server was asked
  int context_tokens_ = 0;
  RemoteHistory history_;
  RemoteHistory::Replay replay_ = RemoteHistory::Replay::by_rule;
  std::string verbatim_;
  int used_tokens_ = 0;
  int last_prompt_tokens_ = 0;
  std::optional<HttpClient> http_;           // when the first request is made
  std::unique_ptr<HttpExchange> lingering_;  // replied; its end makes the connection free again
};

model::ReasoningRule RemoteDialogue::reasoning_rule() const {
  const std::string& named = options_.settings.reasoning;
  if (named == "turn") return model::ReasoningRule::turn;
  if (named == "always") return model::ReasoningRule::always;
  if (named == "never") return model::ReasoningRule::never;
  return reasoning_rule_of(model_);
}

asio::awaitable<void> RemoteDialogue::replace(std::vector<Entry> entries) {
  history_ = RemoteHistory(reasoning_rule());
  for (const Entry& entry : entries) history_.append(entry);
  last_prompt_tokens_ = 0;
  co_return;
}

// The caller's way with cancellations is put back, and keys are kept out of every message.
asio::awaitable<model::Turn> RemoteDialogue::reply(OnDelta on_delta) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  model::Turn turn;
  std::exception_ptr failure;
  try {
    turn = co_await speak(on_delta);
  } catch (const RuntimeError& failed) {
    const std::string text = options_.credential.key.redacted(failed.what());
    failure = std::make_exception_ptr(RuntimeError(text, failed.code()));
  } catch (const plugins::PluginError& failed) {
    failure = std::make_exception_ptr(RuntimeError(failed.what(), kModelError));
  } catch (...) {
    failure = std::current_exception();
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (failure) std::rethrow_exception(failure);
  co_return turn;
}

asio::awaitable<model::Turn> RemoteDialogue::speak(OnDelta& on_delta) {
  if (!http_) http_.emplace(io_);
  verbatim_.clear();
  const Clock::time_point start = Clock::now();
  if (model_.empty()) co_await choose_model(on_delta);
  bool tried_other_replay = false;
  milliseconds backoff{250};
  for (int n_tries = 1;; ++n_tries) {
    const auto left = std::chrono::duration_cast<milliseconds>(
        start + options_.settings.retry_deadline - Clock::now());
    const milliseconds patience =
        n_tries == 1 ? options_.settings.connect_deadline : std::max(left, milliseconds(500));
    std::string text = body();
    Attempt attempt = co_await try_once(std::move(text), on_delta, patience);
    if (attempt.kind == Attempt::Kind::replied || attempt.kind == Attempt::Kind::interrupted) {
      co_return accept(std::move(attempt), on_delta);
    }
    if (says_context_full(attempt)) {
      model::Turn turn;
      turn.stop = model::Stop::context_full;
      turn.problem = options_.credential.key.redacted(server_message(attempt.body));
      co_return turn;
    }
    if (names_reasoning(attempt) && !std::exchange(tried_other_replay, true) &&
        use_other_replay()) {
      tell(on_delta, endpoint_.host + " refused the reasoning as sent; trying the other rule");
      continue;
    }
    const milliseconds wait = std::max(backoff, attempt.retry_after);
    const bool may_pass = attempt.kind == Attempt::Kind::lost || is_busy(attempt.status);
    const auto now_left = start + options_.settings.retry_deadline - Clock::now();
    if (!may_pass || wait >= now_left) refuse(attempt, n_tries);
    tell(on_delta, (attempt.kind == Attempt::Kind::lost
                        ? attempt.problem
                        : endpoint_.host + " answered " + std::to_string(attempt.status)) +
                       "; trying again");
    const bool goes_on = co_await pause(wait);
    if (!goes_on) {
      model::Turn turn;
      turn.stop = model::Stop::interrupted;
      co_return turn;
    }
    backoff *= 2;
  }
}

// One request. Throws where another try cannot help.
asio::awaitable<Attempt> RemoteDialogue::try_once(std::string body, OnDelta& on_delta,
                                                  milliseconds patience) {
  const Clock::time_point start = Clock::now();
  Attempt attempt;
  lingering_.reset();
  auto exchange = http_->start(request("/chat/completions", std::move(body), patience));
  const bool goes_on = co_await await_head(*exchange, on_delta, start);
  if (!goes_on) {
    attempt.kind = Attempt::Kind::interrupted;
    co_return attempt;
  }
  attempt.status = exchange->status();
  if (attempt.status == 0) {
    const HttpFailure& failure = exchange->failure();
    if (failure.kind != HttpFailure::Kind::lost) {
      throw RuntimeError("Cannot reach the model: " + failure.text + ".", kModelError);
    }
    attempt.problem = failure.text;
    co_return attempt;
  }
  if (const auto found = dialect_of_marks(exchange->header("server"), {});
      found && options_.settings.dialect.empty() && dialect_ == Dialect::generic) {
    dialect_ = *found;
  }
  if (attempt.status != 200) {
    attempt.kind = Attempt::Kind::refused;
    attempt.retry_after = retry_after_of(*exchange);
    co_await read_error(*exchange, attempt);
    co_return attempt;
  }
  const ReplyLimits limits = {options_.settings.max_tokens,
                              static_cast<std::size_t>(options_.settings.reply_limit_bytes)};
  ReplyReader reader(exchange->header("content-type"), limits);
  const bool replied = co_await read_reply(*exchange, reader, on_delta, attempt, start);
  if (attempt.kind == Attempt::Kind::lost) co_return attempt;
  attempt.kind = replied ? Attempt::Kind::replied : Attempt::Kind::interrupted;
  if (replied || reader.has_begun()) attempt.reply = reader.finish(!replied);
  if (replied && reader.stream().closed()) {
    exchange->expect_end();
    lingering_ = std::move(exchange);
  }
  co_return attempt;
}

// Until the head of the response is there or the exchange has failed. False: cancelled.
asio::awaitable<bool> RemoteDialogue::await_head(HttpExchange& exchange, OnDelta& on_delta,
                                                 Clock::time_point start) {
  while (exchange.status() == 0 && !exchange.finished()) {
    const auto deadline = start + options_.settings.first_token_deadline;
    const Wake wake = co_await exchange.wait(std::min(Clock::now() + kTick, deadline));
    if (wake == Wake::cancelled) co_return false;
    if (wake == Wake::news) continue;
    if (Clock::now() >= deadline) {
      throw RuntimeError(endpoint_.host + " took the request and stayed silent for " +
                             std::to_string(options_.settings.first_token_deadline.count() / 1000) +
                             " s (setting remote.first_token_deadline).",
                         kModelError);
    }
    tell_waiting(on_delta, start);
  }
  co_return true;
}

// Until the reply is complete. False: cancelled. Sets `lost` when nothing had been shown.
asio::awaitable<bool> RemoteDialogue::read_reply(HttpExchange& exchange, ReplyReader& reader,
                                                 OnDelta& on_delta, Attempt& attempt,
                                                 Clock::time_point start) {
  Clock::time_point last_life = Clock::now();
  Clock::time_point first_delta = {};
  attempt.kind = Attempt::Kind::replied;
  while (!reader.complete()) {
    const std::string bytes = exchange.take();
    const bool is_over = bytes.empty() && exchange.finished();
    if (is_over && exchange.failure().kind != HttpFailure::Kind::none && !reader.answered()) {
      if (reader.has_begun()) {
        throw RuntimeError("The reply broke off: " + exchange.failure().text + ".", kModelError);
      }
      attempt.kind = Attempt::Kind::lost;
      attempt.problem = exchange.failure().text;
      co_return false;
    }
    ReplyProgress progress;
    if (!bytes.empty()) {
      last_life = Clock::now();
      progress.delta = reader.feed(bytes);
    } else if (is_over && !reader.answered()) {
      progress.delta = reader.end();
    }
    progress.prefill_fraction = reader.stream().prefill_fraction().value_or(1);
    if (reader.has_begun()) {
      progress.prefill_fraction = 1;
      if (first_delta == Clock::time_point()) first_delta = Clock::now();
    }
    if (!progress.delta.empty() || progress.prefill_fraction < 1) on_delta(progress);
    if (is_over || reader.complete()) break;
    if (!bytes.empty() && exchange.finished()) continue;

    const Wake wake = co_await exchange.wait(Clock::now() + kTick);
    if (wake == Wake::cancelled) co_return false;
    if (wake == Wake::news) continue;
    const Clock::duration silent = Clock::now() - last_life;
    if (reader.answered() && silent > kUsageLimit) break;
    const milliseconds limit = reader.has_begun() ? options_.settings.stall_deadline
                                                  : options_.settings.first_token_deadline;
    if (silent > limit || Clock::now() - start > options_.settings.reply_deadline) {
      throw RuntimeError(endpoint_.host + " went silent for " +
                             std::to_string(limit.count() / 1000) + " s in the middle of a reply.",
                         kModelError);
    }
    if (!reader.has_begun()) tell_waiting(on_delta, start);
  }
  if (first_delta == Clock::time_point()) first_delta = Clock::now();
  attempt.prefill_seconds = seconds_between(start, first_delta);
  attempt.decode_seconds = seconds_between(first_delta, Clock::now());
  co_return true;
}

asio::awaitable<void> RemoteDialogue::read_error(HttpExchange& exchange, Attempt& attempt) {
  const Clock::time_point until = Clock::now() + kErrorBodyLimit;
  while (attempt.body.size() < kErrorBodyLimitBytes) {
    const std::string bytes = exchange.take();
    attempt.body += bytes;
    if (bytes.empty() && exchange.finished()) break;
    if (!bytes.empty()) continue;
    const Wake wake = co_await exchange.wait(until);
    if (wake != Wake::news) break;
  }
}

// The server is asked for its models once, and only when nobody has named one.
asio::awaitable<void> RemoteDialogue::choose_model(OnDelta& on_delta) {
  auto exchange = http_->start(request("/models", {}, options_.settings.connect_deadline));
  std::string text;
  const Clock::time_point until = Clock::now() + options_.settings.connect_deadline;
  while (!exchange->finished() && text.size() < SseParser::kEventLimitBytes) {
    const Wake wake = co_await exchange->wait(until);
    if (wake != Wake::news) break;
    text += exchange->take();
  }
  text += exchange->take();
  const HttpFailure& failure = exchange->failure();
  if (exchange->status() == 0 && failure.kind != HttpFailure::Kind::none &&
      failure.kind != HttpFailure::Kind::lost) {
    throw RuntimeError("Cannot reach the model: " + failure.text + ".", kModelError);
  }
  const ModelList list = exchange->status() == 200 ? parse_model_list(text) : ModelList();
  if (options_.settings.dialect.empty() && dialect_ == Dialect::generic) {
    dialect_ = list.dialect.value_or(
        dialect_of_marks(exchange->header("server"), {}).value_or(Dialect::generic));
  }
  if (context_tokens_ == 0) context_tokens_ = list.context_tokens;
  model_ = list.names.empty() ? "default" : list.names.front();
  history_.set_rule(reasoning_rule());
  if (list.names.size() > 1) {
    std::string others;
    for (std::size_t i = 1; i < list.names.size() && i < 6; ++i) others += ", " + list.names[i];
    tell(on_delta, endpoint_.host + " offers " + std::to_string(list.names.size()) +
                       " models; using " + model_ + ". Choose with --model " + endpoint_.base +
                       "#NAME: " + others.substr(2));
  }
}

asio::awaitable<bool> RemoteDialogue::pause(milliseconds time) {
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  asio::steady_timer timer(io_, time);
  if (cancellation.cancelled() == asio::cancellation_type::none) {
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  co_return cancellation.cancelled() == asio::cancellation_type::none;
}

HttpRequest RemoteDialogue::request(const char* path, std::string body,
                                    milliseconds patience) const {
  HttpRequest request;
  request.url = endpoint_.base + path;
  if (!body.empty()) request.headers.push_back("Content-Type: application/json");
  request.headers.push_back(body.empty() ? "Accept: application/json"
                                         : "Accept: text/event-stream");
  const Secret& key = options_.credential.key;
  if (!key.empty()) request.headers.push_back("Authorization: Bearer " + key.reveal());
  request.body = std::move(body);
  request.ca_file = expand_home(options_.settings.ca_file).string();
  request.direct = endpoint_.is_loopback;
  request.connect_timeout = std::min(patience, options_.settings.connect_deadline);
  return request;
}

// The messages come last, so each body starts with the one before, all but its closing brackets.
std::string RemoteDialogue::body() const {
  std::string text = "{\"model\":" + model::json_quote(model_) +
                     R"(,"stream":true,"stream_options":{"include_usage":true})" +
                     dialect_fields(dialect_, options_.thinking);
  if (options_.settings.max_tokens > 0)
    text += ",\"max_tokens\":" + std::to_string(options_.settings.max_tokens);
  const SamplingSettings& sampling = options_.sampling;
  if (sampling.temperature) text += ",\"temperature\":" + number(*sampling.temperature);
  if (sampling.top_p) text += ",\"top_p\":" + number(*sampling.top_p);
  if (sampling.min_p) text += ",\"min_p\":" + number(*sampling.min_p);
  if (!history_.tools().empty()) text += ",\"tools\":" + history_.tools();
  return text + ",\"messages\":" + history_.messages(replay_) + "}";
}

// False when the other rule would send the same.
bool RemoteDialogue::use_other_replay() {
  using Replay = RemoteHistory::Replay;
  if (replay_ != Replay::everything && history_.has_dropped_reasoning()) {
    replay_ = Replay::everything;
    return true;
  }
  if (!history_.sends_reasoning(replay_)) return false;
  replay_ = Replay::nothing;
  return true;
}

void RemoteDialogue::tell_waiting(OnDelta& on_delta, Clock::time_point start) const {
  const int seconds = static_cast<int>(seconds_between(start, Clock::now()));
  ReplyProgress progress;
  progress.waiting = "waiting for " + endpoint_.host + ", " + std::to_string(seconds) + " s";
  on_delta(progress);
}

void RemoteDialogue::tell(OnDelta& on_delta, std::string notice) const {
  ReplyProgress progress;
  progress.notice = options_.credential.key.redacted(std::move(notice));
  on_delta(progress);
}

model::Turn RemoteDialogue::accept(Attempt attempt, OnDelta& on_delta) {
  if (!attempt.reply) {
    model::Turn turn;
    turn.stop = model::Stop::interrupted;
    return turn;
  }
  ChatReply& reply = *attempt.reply;
  history_.append(reply);
  verbatim_ = reply.message;
  const ServerUsage& counted = reply.usage;
  model::Usage& usage = reply.turn.usage;
  if (counted.prompt_tokens >= 0) {
    usage.reused = std::clamp(counted.cached_tokens, 0, counted.prompt_tokens);
    usage.prefilled = counted.prompt_tokens - usage.reused;
    used_tokens_ = counted.prompt_tokens + std::max(counted.completion_tokens, 0);
    if (counted.prompt_tokens < last_prompt_tokens_ && !history_.has_dropped_reasoning()) {
      tell(on_delta, endpoint_.host + " read only " + std::to_string(counted.prompt_tokens) +
                         " tokens of the conversation, fewer than before: its context is too "
                         "small and it cuts. Start it with a larger one (Ollama: "
                         "OLLAMA_CONTEXT_LENGTH).");
    }
    last_prompt_tokens_ = counted.prompt_tokens;
  }
  usage.generated = std::max(counted.completion_tokens, 0);
  usage.prefill_seconds = attempt.prefill_seconds;
  usage.decode_seconds = attempt.decode_seconds;
  return std::move(reply.turn);
}

void RemoteDialogue::refuse(const Attempt& attempt, int n_tries) const {
  const std::string tries = n_tries > 1 ? " (" + std::to_string(n_tries) + " tries)" : "";
  if (attempt.kind == Attempt::Kind::lost) {
    throw RuntimeError("Cannot reach the model: " + attempt.problem + tries + ".", kModelError);
  }
  std::string text = endpoint_.host + " answered " + std::to_string(attempt.status) + tries;
  if (const std::string said = server_message(attempt.body); !said.empty()) text += ": " + said;
  if (attempt.status == 401 || attempt.status == 403) {
    text += options_.credential.key.empty()
                ? "\nThere is no key for this host: set CORVID_API_KEY, or write \"" +
                      endpoint_.host + " KEY\" into " + key_file().string() + " (mode 600)."
                : "\nThe key came from " + options_.credential.origin + ".";
  } else if (attempt.status == 404) {
    text += "\nThe request went to " + endpoint_.base + "/chat/completions for the model " +
            model_ + ".";
  } else if (attempt.retry_after > milliseconds(0)) {
    text += "\nThe server asks to wait " + std::to_string(attempt.retry_after.count() / 1000) +
            " s; the setting remote.retry_deadline says how long to try.";
  }
  throw RuntimeError(text, kModelError);
}

}  // namespace

RemoteOptions remote_options(const Settings& settings, std::string url) {
  RemoteOptions options;
  const CredentialSources sources = {parse_endpoint(url).host, settings.remote.key_variable,
                                     key_file()};
  options.credential = find_credential(sources);
  options.url = std::move(url);
  options.thinking = settings.thinking;
  options.sampling = settings.sampling;
  options.settings = settings.remote;
  return options;
}

std::unique_ptr<Dialogue> make_remote_dialogue(asio::any_io_executor io, RemoteOptions options) {
  return std::make_unique<RemoteDialogue>(std::move(io), std::move(options));
}

}  // namespace corvid::runtime
