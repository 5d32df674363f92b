#include "runtime/session.h"

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "memory/journal.h"
#include "runtime/record.h"
#include "runtime/repeat_guard.h"
#include "runtime/shortening.h"
#include "sandbox/offload.h"

namespace corvid::runtime {
namespace {

constexpr int kMaxSentBack = 3;  // times that plugins keep one turn going

// Room that a reply should have before it starts.
int reply_reserve(int limit_tokens) {
  return std::min(limit_tokens / 4, 2048);
}

}  // namespace

class Session::Loop {
 public:
  Loop(Past past, Rooms rooms, SessionOptions options)
      : id_(std::move(past.id)),
        rooms_(rooms),
        options_(options),
        history_(std::move(past.history)),
        last_seq_(past.steps),
        calls_(count_calls(history_)) {}

  asio::awaitable<Outcome> prompt(std::string text);
  asio::awaitable<void> settle();

  void interrupt() { interrupted_ = true; }
  void emit_stop() { stop_.emit(asio::cancellation_type::terminal); }
  const asio::any_io_executor& io() const { return rooms_.io; }

 private:
  asio::awaitable<Outcome> turn(std::string text);
  asio::awaitable<void> fail(std::string message, int exit_code, bool begun);
  asio::awaitable<void> begin(std::string text);
  asio::awaitable<std::string> hooked_prompt(std::string text);
  asio::awaitable<std::string> unfinished_business(Outcome outcome);
  asio::awaitable<bool> fit();
  asio::awaitable<model::Turn> reply();
  asio::awaitable<void> call_tools(std::vector<model::ToolCall> calls);
  asio::awaitable<void> finished(model::ToolCall call, model::ToolResult result);
  asio::awaitable<std::int64_t> record(memory::Step step);
  OnDelta on_delta();
  template <typename T>
  asio::awaitable<T> interruptible(asio::awaitable<T> work);

  const std::string id_;
  const Rooms rooms_;
  const SessionOptions options_;
  std::vector<Entry> history_;  // what the journal holds
  std::int64_t last_seq_;
  int calls_;             // made so far, for ids
  bool in_step_ = false;  // the dialogue holds the history
  RepeatGuard repeats_;
  std::exception_ptr unrecorded_;  // why a result could not be journaled
  std::atomic<bool> interrupted_ = false;
  asio::cancellation_signal stop_;
};

asio::awaitable<Outcome> Session::Loop::prompt(std::string text) {
  interrupted_ = false;
  const std::int64_t before = last_seq_;
  Outcome outcome;
  try {
    outcome = co_await turn(std::move(text));
  } catch (const RuntimeError& error) {
    outcome = {.code = error.code(), .message = error.what()};
    in_step_ = false;
  } catch (const std::exception& error) {
    outcome = {.code = kFailed, .message = error.what()};
    in_step_ = false;
  }
  if (outcome.code == kOk) {
    rooms_.events.publish(TurnFinished{model::Stop::end, outcome.answer, outcome.steps});
  } else if (outcome.code == kInterrupted) {
    rooms_.events.publish(TurnFinished{model::Stop::interrupted, outcome.answer, outcome.steps});
  } else {
    const bool begun = last_seq_ > before;
    co_await fail(outcome.message, outcome.code, begun);
  }
  co_return outcome;
}

// Of a turn that has not begun nothing is kept.
asio::awaitable<void> Session::Loop::fail(std::string message, int exit_code, bool begun) {
  std::int64_t seq = 0;
  try {
    memory::Step step = failed_step(message, exit_code);
    if (begun) seq = co_await record(std::move(step));
  } catch (const std::exception&) {
    // The journal may be what failed.
  }
  rooms_.events.publish(Failed{std::move(message), exit_code}, seq);
}

asio::awaitable<Outcome> Session::Loop::turn(std::string text) {
  text = co_await hooked_prompt(std::move(text));
  co_await begin(std::move(text));
  Outcome outcome;
  bool asked_again = false;
  int n_sent_back = 0;
  while (outcome.steps < options_.max_steps) {
    const bool fits = co_await fit();
    if (!fits) co_return context_full(std::move(outcome), rooms_.dialogue.room());
    model::Turn turn = co_await reply();
    ++outcome.steps;
    outcome.answer = turn.content;
    if (turn.stop == model::Stop::calls) {
      co_await call_tools(std::move(turn.calls));
      if (repeats_.hopeless()) co_return repeated_calls(std::move(outcome), repeats_.times());
    } else if (turn.stop == model::Stop::malformed && !asked_again && !interrupted_) {
      asked_again = true;
      co_await begin("Your last reply could not be read: " + turn.problem + " Please try again.");
    } else if (!interrupted_ || turn.stop == model::Stop::end) {
      Outcome finished = finished_turn(outcome, turn, rooms_.dialogue.room());
      std::string rest;
      if (n_sent_back++ < kMaxSentBack) rest = co_await unfinished_business(finished);
      if (rest.empty()) co_return finished;
      co_await begin(std::move(rest));
    }
    if (interrupted_) co_return interrupted(std::move(outcome), id_);
  }
  co_return step_limit(std::move(outcome));
}

// What the plugins make of a prompt. One that they refuse ends the turn before anything is kept.
asio::awaitable<std::string> Session::Loop::hooked_prompt(std::string text) {
  if (!rooms_.context.hook) co_return text;
  nlohmann::ordered_json news;
  news["text"] = text;
  const std::string reply = co_await rooms_.context.hook("on_prompt", news.dump());
  if (reply.empty()) co_return text;
  const auto answer = nlohmann::ordered_json::parse(reply);
  if (answer.contains("deny")) {
    throw RuntimeError("The prompt was refused: " + answer["deny"].get<std::string>());
  }
  co_return answer.value("text", text);
}

// What a plugin still wants done when the model has given its answer; empty: it may stop.
asio::awaitable<std::string> Session::Loop::unfinished_business(Outcome outcome) {
  if (!rooms_.context.hook || outcome.code != kOk || interrupted_) co_return std::string();
  nlohmann::ordered_json news;
  news["answer"] = outcome.answer;
  news["steps"] = outcome.steps;
  const std::string reply = co_await rooms_.context.hook("on_stop", news.dump());
  if (reply.empty()) co_return std::string();
  co_return nlohmann::ordered_json::parse(reply).value("again", "");
}

// A new message of the user, after whatever a crash or a failure left open.
asio::awaitable<void> Session::Loop::begin(std::string text) {
  repeats_ = {};
  unrecorded_ = nullptr;
  for (auto& [call, result] : unanswered(history_)) {
    co_await finished(call, result);
    if (unrecorded_) std::rethrow_exception(unrecorded_);
    add_result(history_, result);
    in_step_ = false;
  }
  memory::Step step = prompt_step(text);
  const std::int64_t seq = co_await record(std::move(step));
  rooms_.events.publish(Prompted{text}, seq);
  if (in_step_) rooms_.dialogue.append(UserText{text});
  history_.emplace_back(UserText{std::move(text)});
  if (!in_step_) co_await rooms_.dialogue.replace(history_);
  in_step_ = true;
}

// True when the next reply has room; shortens the oldest results when it must.
asio::awaitable<bool> Session::Loop::fit() {
  for (;;) {
    const Room room = rooms_.dialogue.room();
    const int missing = room.used_tokens + reply_reserve(room.limit_tokens) - room.limit_tokens;
    if (room.limit_tokens == 0 || missing <= 0) co_return true;
    const int shortened = shorten_oldest_results(history_, missing);
    if (shortened == 0) co_return room.used_tokens < room.limit_tokens;
    rooms_.events.publish(Notice{"The context is nearly full: shortened " +
                                 std::to_string(shortened) +
                                 (shortened == 1 ? " old tool result." : " old tool results.")});
    co_await rooms_.dialogue.replace(history_);
  }
}

asio::awaitable<model::Turn> Session::Loop::reply() {
  auto work = rooms_.dialogue.reply(on_delta());
  model::Turn turn = co_await interruptible(std::move(work));
  for (model::ToolCall& call : turn.calls) {
    ++calls_;
    if (call.id.empty()) call.id = "call_" + std::to_string(calls_);
  }
  Reply reply{turn, rooms_.dialogue.verbatim()};
  memory::Step step = turn_step(reply);
  const std::int64_t seq = co_await record(std::move(step));
  history_.emplace_back(std::move(reply));
  rooms_.events.publish(StepFinished{turn}, seq);
  co_return turn;
}

asio::awaitable<void> Session::Loop::call_tools(std::vector<model::ToolCall> calls) {
  tools::Toolbox::Observer observer;
  observer.started = [this](const model::ToolCall& call) {
    rooms_.events.publish(CallStarted{call});
  };
  observer.output = [this](const model::ToolCall& call, std::string_view text) {
    rooms_.events.publish(CallOutput{call.id, std::string(text)});
  };
  observer.finished = [this](const model::ToolCall& call, const model::ToolResult& result) {
    return finished(call, result);
  };
  unrecorded_ = nullptr;
  auto work = rooms_.toolbox.run(calls, rooms_.context, std::move(observer));
  std::vector<model::ToolResult> results = co_await interruptible(std::move(work));
  if (unrecorded_) std::rethrow_exception(unrecorded_);
  repeats_.note(calls, results);
  rooms_.dialogue.append(Results{results});
  history_.emplace_back(Results{std::move(results)});
}

// Runs inside the toolbox, possibly while it is being cancelled: the result is journaled anyway.
asio::awaitable<void> Session::Loop::finished(model::ToolCall call, model::ToolResult result) {
  const bool before = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  try {
    memory::Step step = result_step(call.name, result);
    const std::int64_t seq = co_await record(std::move(step));
    rooms_.events.publish(CallFinished{call.name, result}, seq);
  } catch (const std::exception&) {
    unrecorded_ = std::current_exception();
  }
  co_await asio::this_coro::throw_if_cancelled(before);
}

// Returns its seq when the step is on disk. Steps queue in order on the one journal thread.
asio::awaitable<std::int64_t> Session::Loop::record(memory::Step step) {
  step.seq = ++last_seq_;
  auto write = [this, step = std::move(step)] { return rooms_.journal.append(id_, step); };
  try {
    co_return co_await sandbox::offload(rooms_.journal_thread, std::move(write));
  } catch (...) {
    --last_seq_;
    throw;
  }
}

OnDelta Session::Loop::on_delta() {
  return [this](const ReplyProgress& progress) {
    EventBus& events = rooms_.events;
    if (progress.prefill_fraction < 1) {
      events.publish(Progress{"reading the prompt", progress.prefill_fraction});
    }
    if (!progress.waiting.empty()) events.publish(Progress{progress.waiting, 0});
    if (!progress.notice.empty()) events.publish(Notice{progress.notice});
    const model::Delta& delta = progress.delta;
    if (!delta.reasoning.empty()) events.publish(ReasoningDelta{delta.reasoning});
    if (!delta.content.empty()) events.publish(ContentDelta{delta.content});
    if (!delta.call_text.empty()) events.publish(CallDelta{delta.call_text});
  };
}

// A child of its own that interrupt() cancels, while this coroutine lives on to record the outcome.
template <typename T>
asio::awaitable<T> Session::Loop::interruptible(asio::awaitable<T> work) {
  auto token = asio::bind_cancellation_slot(stop_.slot(), asio::use_awaitable);
  if (interrupted_) asio::post(rooms_.io, [this] { emit_stop(); });  // came between two children
  co_return co_await asio::co_spawn(rooms_.io, std::move(work), token);
}

asio::awaitable<void> Session::Loop::settle() {
  const Dialogue::SettleCost cost = co_await rooms_.dialogue.settle();
  if (cost.dropped_tokens == 0) co_return;
  memory::Step step = settled_step(cost);
  const std::int64_t seq = co_await record(std::move(step));
  rooms_.events.publish(Settled{cost.dropped_tokens, cost.prefilled}, seq);
}

Session::Session(Past past, Rooms rooms, SessionOptions options)
    : loop_(std::make_shared<Loop>(std::move(past), rooms, options)) {}
Session::~Session() = default;

asio::awaitable<Outcome> Session::prompt(std::string text) {
  return loop_->prompt(std::move(text));
}

asio::awaitable<void> Session::settle() {
  return loop_->settle();
}

void Session::interrupt() noexcept {
  loop_->interrupt();
  try {
    asio::post(loop_->io(), [weak = std::weak_ptr(loop_)] {
      if (const auto loop = weak.lock()) loop->emit_stop();
    });
  } catch (...) {  // no memory: the flag still ends the turn after this step
  }
}

}  // namespace corvid::runtime
