#include "runtime/serve/server.h"

#include <map>
#include <nlohmann/json.hpp>

#include "model/error.h"
#include "runtime/json_line.h"
#include "runtime/serve/chat_completions.h"
#include "runtime/serve/completions.h"
#include "runtime/serve/messages.h"
#include "runtime/serve/responses.h"
#include "runtime/serve/token_pages.h"
#include "sandbox/offload.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kKeepAlive = ": waiting\n\n";
constexpr const char* kRetryAfterSeconds = "5";

std::vector<std::filesystem::path> workspaces_of(const ServeOptions& options) {
  if (!options.workspaces.empty()) return options.workspaces;
  return {std::filesystem::current_path()};
}

std::string tokenize(const model::JsonField& body, const ModelService& service) {
  return tokenize_page(body, *service.model().tokenizer);
}

std::string detokenize(const model::JsonField& body, const ModelService& service) {
  return detokenize_page(body, *service.model().tokenizer);
}

// A request to /v1/messages -> {"input_tokens"}.
std::string count_tokens(const model::JsonField& body, const ModelService& service) {
  const ApiCall call = message_call(body, service.name());
  return json_line({{"input_tokens", service.prompt_of(call.request).tokens.size()}});
}

// In the words of both vendors.
Json model_json(const ModelService& service) {
  return {{"id", service.name()},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "local"},
          {"type", "model"},
          {"display_name", service.name()},
          {"created_at", "1970-01-01T00:00:00Z"},
          {"context_length", service.context_tokens()},
          {"max_model_len", service.context_tokens()}};
}

Json models_json(const ModelService& service) {
  return {{"object", "list"},
          {"data", Json::array({model_json(service)})},
          {"has_more", false},
          {"first_id", service.name()},
          {"last_id", service.name()}};
}

}  // namespace

Server::Server(const asio::any_io_executor& io, LocalModel model, ServeOptions options)
    : io_(io),
      options_(std::move(options)),
      service_(std::move(model), options_.contexts),
      commons_(io, SharedModel{service_.model(), service_.engine()}),
      sessions_(commons_, {options_.settings, workspaces_of(options_),
                           !options_.access.keys.empty(), options_.running, options_.keep_alive}),
      turnstile_(options_.running, options_.waiting) {
  require_keys(options_.access, options_.host);
  HttpServer::Hooks hooks;
  hooks.gate = [this](const HttpRequest& request) -> std::optional<HttpAnswer> {
    if (const auto error = refusal(options_.access, request)) return refuse(request, *error);
    return std::nullopt;
  };
  hooks.handle = [this](std::shared_ptr<Exchange> exchange) { return handle(std::move(exchange)); };
  hooks.refuse = [this](const HttpRequest& request, int status, const std::string& message) {
    return refuse(request, ApiError(status, message));
  };
  http_ = std::make_unique<HttpServer>(io, options_.host, options_.port, options_.limits,
                                       std::move(hooks));
}

Server::~Server() {
  commons_.finish();
}

void Server::stop() {
  http_->stop();
  sessions_.stop();
}

std::string Server::url() const {
  const bool v6 = options_.host.find(':') != std::string::npos;
  return "http://" + (v6 ? "[" + options_.host + "]" : options_.host) + ":" +
         std::to_string(port());
}

// --- Routes. -------------------------------------------------------------------------------------

HttpAnswer Server::plain_page(const HttpRequest& request) const {
  const auto get = [&](std::string_view path) {
    if (request.path != path) return false;
    if (request.method == "GET" || request.method == "HEAD") return true;
    throw wrong_method(request.path, "GET, HEAD");
  };
  if (request.method == "OPTIONS") return {.status = 204};
  if (get("/health")) return {.body = R"({"status": "ok"})"};
  if (get("/v1/models")) return {.body = json_line(models_json(service_))};
  if (get("/v1/models/" + service_.name())) return {.body = json_line(model_json(service_))};
  if (get("/metrics")) return {.body = metrics(), .type = "text/plain; version=0.0.4"};
  throw ApiError(404, "there is nothing at " + request.path);
}

// For Prometheus. Numbers only: nothing of what anybody said.
std::string Server::metrics() const {
  std::string text;
  const auto add = [&text](std::string_view name, std::string_view type, std::int64_t value) {
    text.append("# TYPE ").append(name).append(" ").append(type).append("\n");
    text.append(name).append(" ").append(std::to_string(value)).append("\n");
  };
  const ModelService::Totals& totals = service_.totals();
  add("corvid_replies_total", "counter", totals.replies);
  add("corvid_prompt_tokens_total", "counter", totals.prompt_tokens);
  add("corvid_prompt_cached_tokens_total", "counter", totals.cached_tokens);
  add("corvid_reply_tokens_total", "counter", totals.reply_tokens);
  add("corvid_requests_running", "gauge", turnstile_.running());
  add("corvid_requests_waiting", "gauge", turnstile_.waiting());
  add("corvid_sessions_working", "gauge", sessions_.working());
  add("corvid_connections", "gauge", static_cast<std::int64_t>(http_->connections()));
  add("corvid_body_bytes", "gauge", static_cast<std::int64_t>(http_->body_bytes()));
  text += "# TYPE corvid_refused_total counter\n";
  for (const auto& [status, n] : refused_) {
    text += "corvid_refused_total{status=\"" + std::to_string(status) + "\"} " + std::to_string(n) +
            "\n";
  }
  return text;
}

HttpAnswer Server::refuse(const HttpRequest& request, const ApiError& error) {
  ++refused_[error.status()];
  HttpAnswer answer{error.status(), error_json(dialect_of(request.path), error)};
  answer.headers = error.headers();
  if (error.status() == 429 || error.status() == 503)
    answer.headers.emplace_back("Retry-After", kRetryAfterSeconds);
  return answer;
}

asio::awaitable<void> Server::handle(std::shared_ptr<Exchange> exchange) {
  const HttpRequest& request = exchange->request();
  exchange->answer_headers() = cors_headers(request);
  std::optional<HttpAnswer> refusal;
  try {
    auto work = route(exchange);
    co_await std::move(work);
  } catch (const ApiError& error) {
    refusal = refuse(request, error);
  } catch (const model::ModelError& error) {
    refusal = refuse(request, ApiError(400, error.what(), error.field()));
  }
  if (refusal && !exchange->begun()) co_await exchange->answer(std::move(*refusal));
}

asio::awaitable<void> Server::route(std::shared_ptr<Exchange> exchange) {
  static const std::map<std::string_view, Reader> kReplies = {
      {"/v1/chat/completions", chat_completion},
      {"/v1/completions", text_completion},
      {"/v1/messages", message_call},
      {"/v1/responses", response_call},
  };
  static const std::map<std::string_view, Page> kPages = {
      {"/tokenize", tokenize},
      {"/detokenize", detokenize},
      {"/v1/messages/count_tokens", count_tokens},
  };
  const HttpRequest& request = exchange->request();
  const auto reply = kReplies.find(request.path);
  const auto page = kPages.find(request.path);
  const bool is_plain = reply == kReplies.end() && page == kPages.end();
  if (request.method != "OPTIONS" && AgentSessions::has(request.path)) {
    co_return co_await sessions_.handle(exchange);
  }
  if (request.method == "OPTIONS" || is_plain) {
    HttpAnswer answer = plain_page(request);
    co_return co_await exchange->answer(std::move(answer));
  }
  if (request.method != "POST") throw wrong_method(request.path, "POST");
  if (reply != kReplies.end()) co_return co_await this->reply(exchange, reply->second);
  auto work = this->page(exchange, page->second);
  HttpAnswer answer = co_await std::move(work);
  co_await exchange->answer(std::move(answer));
}

asio::awaitable<HttpAnswer> Server::page(std::shared_ptr<Exchange> exchange, Page make) {
  auto work = [this, exchange, make] {
    const model::JsonDocument body(exchange->request().body, "the body");
    return make(body.root(), service_);
  };
  auto making = sandbox::offload(commons_.workers, std::move(work));
  HttpAnswer answer;
  answer.body = co_await std::move(making);
  co_return answer;
}

// --- Replies of the model. -----------------------------------------------------------------------

asio::awaitable<void> Server::reply(std::shared_ptr<Exchange> exchange, Reader read) {
  const Clock::time_point since = Clock::now();
  const std::uint64_t owner = owner_of(exchange->request());
  auto preparation = prepare(exchange, read, owner);
  Prepared prepared = co_await std::move(preparation);
  if (turnstile_.full()) throw ApiError(429, "too many requests are waiting; try again later");
  const ModelRequest& request = prepared.call.request;
  ReplyWriter& writer = *prepared.call.writer;
  Turnstile::Ticket ticket(turnstile_, io_);
  if (request.stream) co_await exchange->begin_events();
  co_await wait_for_turn(ticket, *exchange, request.stream);
  RunningReply reply(io_, service_, request, std::move(prepared.prompt), owner);
  const OnHangUp on_hang_up(*exchange, [&reply] { reply.stop(); });
  if (request.stream) {
    co_await stream(reply, writer, *exchange);
  } else {
    co_await whole(reply, writer, *exchange);
  }
  log(exchange->request(), reply.usage(), since);
}

void Server::log(const HttpRequest& request, const ReplyUsage& usage,
                 Clock::time_point since) const {
  if (!options_.log) return;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - since);
  options_.log(request.path + ": read " + std::to_string(usage.prompt_tokens) + " tokens, " +
               std::to_string(usage.cached_tokens) + " of them known; said " +
               std::to_string(usage.reply_tokens) + "; " + std::to_string(ms.count()) + " ms");
}

asio::awaitable<Server::Prepared> Server::prepare(std::shared_ptr<Exchange> exchange, Reader read,
                                                  std::uint64_t owner) {
  auto read_body = [this, exchange, read] {
    const model::JsonDocument body(exchange->request().body, "the body");
    return read(body.root(), service_.name());
  };
  auto reading = sandbox::offload(commons_.workers, std::move(read_body));
  ApiCall call = co_await std::move(reading);
  exchange->forget_body();
  service_.recall(call.request, owner);
  auto render = [this, request = std::make_shared<ModelRequest>(std::move(call.request))] {
    Prepared prepared;
    prepared.prompt = service_.prompt_of(*request);
    service_.require_room(prepared.prompt);
    prepared.call.request = std::move(*request);
    return prepared;
  };
  auto rendering = sandbox::offload(commons_.workers, std::move(render));
  Prepared prepared = co_await std::move(rendering);
  prepared.call.writer = std::move(call.writer);
  co_return prepared;
}

asio::awaitable<void> Server::wait_for_turn(Turnstile::Ticket& ticket, Exchange& exchange,
                                            bool stream) {
  bool gone = false;
  const OnHangUp on_hang_up(exchange, [&] {
    gone = true;
    ticket.wake();
  });
  while (!ticket.admitted()) {
    co_await ticket.wait(Clock::now() + options_.keep_alive);
    if (gone) throw boost::system::system_error(asio::error::connection_reset);
    std::string comment(kKeepAlive);
    if (stream && !ticket.admitted()) co_await exchange.send(std::move(comment));
  }
}

asio::awaitable<void> Server::stream(RunningReply& reply, ReplyWriter& writer, Exchange& exchange) {
  bool begun = false, ended = false;
  Clock::time_point last_sent = Clock::now();
  while (!ended) {
    std::string events;
    try {
      auto next = reply.next(last_sent + options_.keep_alive);
      const RunningReply::Update update = co_await std::move(next);
      if (!begun && (update.started || update.finished)) events += writer.begin(update.usage);
      begun = begun || !events.empty();
      if (!update.delta.empty()) events += writer.grow(update.delta);
      if (update.finished) events += writer.end(*update.finished);
      ended = update.finished.has_value();
    } catch (const ApiError& error) {
      events = writer.fail(error);
      ended = true;
    }
    if (events.empty() && Clock::now() >= last_sent + options_.keep_alive) events = kKeepAlive;
    if (events.empty()) continue;
    co_await exchange.send(std::move(events));
    last_sent = Clock::now();
  }
  co_await exchange.end_events();
}

asio::awaitable<void> Server::whole(RunningReply& reply, ReplyWriter& writer, Exchange& exchange) {
  std::optional<FinishedReply> finished;
  while (!finished) {
    auto next = reply.next(Clock::time_point::max());
    RunningReply::Update update = co_await std::move(next);
    finished = std::move(update.finished);
  }
  HttpAnswer answer{.body = writer.whole(*finished)};
  co_await exchange.answer(std::move(answer));
}

}  // namespace corvid::runtime
