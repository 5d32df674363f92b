#include "runtime/local_dialogue.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/this_coro.hpp>

#include "runtime/error.h"
#include "runtime/mailbox.h"

namespace corvid::runtime {
namespace {

// Waits for the outcome. When this coroutine is cancelled it stops the job, and still waits for
// what the job has to say.
template <typename Outcome>
asio::awaitable<Outcome> outcome_of(Listener<Outcome>& listener, OnDelta on_delta) {
  co_await asio::this_coro::throw_if_cancelled(false);
  for (;;) {
    auto mail = listener.mailbox().take();
    if (mail.prefill_fraction && on_delta) {
      ReplyProgress progress;
      progress.delta = std::move(mail.delta);
      progress.prefill_fraction = *mail.prefill_fraction;
      on_delta(progress);
    }
    if (mail.error) std::rethrow_exception(mail.error);
    if (mail.outcome) co_return std::move(*mail.outcome);
    co_await listener.wait();
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() == asio::cancellation_type::none) continue;
    listener.stop().request_stop();
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  }
}

}  // namespace

LocalDialogue::LocalDialogue(const LocalModel& model, EngineThread& engine,
                             std::shared_ptr<Timeline> timeline, LocalOptions options)
    : model_(model),
      engine_(engine),
      options_(options),
      transcript_(model.tokenizer, model.format, options.thinking),
      timeline_(std::move(timeline)) {}
LocalDialogue::~LocalDialogue() = default;

std::string LocalDialogue::description() const {
  return model_.description;
}

void LocalDialogue::append(Entry entry) {
  if (const auto* opening = std::get_if<Opening>(&entry)) tools_ = opening->tools;
  transcript_.append(entry);
}

asio::awaitable<void> LocalDialogue::replace(std::vector<Entry> entries) {
  for (const Entry& entry : entries) {
    if (const auto* opening = std::get_if<Opening>(&entry)) tools_ = opening->tools;
  }
  transcript_.replace(entries);
  co_return;
}

asio::awaitable<model::Turn> LocalDialogue::reply(OnDelta on_delta) {
  const asio::any_io_executor io = co_await asio::this_coro::executor;
  auto mailbox = std::make_shared<Mailbox<model::Turn>>();
  Listener<model::Turn> listener(io, mailbox);
  ReplyRequest request;
  request.prompt = transcript_.prompt();
  request.constraint = [&model = model_, tools = tools_, thinking = transcript_.thinking()] {
    return model.constraint(tools, thinking, {});
  };
  request.format = model_.format;
  request.tokenizer = model_.tokenizer;
  request.sampling = options_.sampling;
  request.sampling.seed = options_.seed + replies_++;
  request.thinking = transcript_.thinking();
  request.tools = tools_;
  request.max_tokens = options_.max_reply_tokens;
  if (request.max_tokens == 0) request.max_tokens = engine_.engine().max_context_tokens() / 2;
  request.on_progress = [mailbox](const ReplyRequest::Progress& progress) {
    mailbox->put_progress(progress.delta, progress.prefill_fraction);
  };
  request.on_done = [mailbox](model::Turn turn, std::exception_ptr error) {
    mailbox->put_outcome(std::move(turn), std::move(error));
  };
  engine_.submit(timeline_, std::move(request), listener.stop().get_token());
  auto outcome = outcome_of(listener, std::move(on_delta));
  model::Turn turn = co_await std::move(outcome);
  transcript_.append(Reply{turn, ""});
  co_return turn;
}

asio::awaitable<Dialogue::SettleCost> LocalDialogue::settle() {
  const asio::any_io_executor io = co_await asio::this_coro::executor;
  auto mailbox = std::make_shared<Mailbox<SettleRequest::Cost>>();
  Listener<SettleRequest::Cost> listener(io, mailbox);
  SettleRequest request;
  request.tokens = transcript_.settled();
  request.on_done = [mailbox](SettleRequest::Cost cost, std::exception_ptr error) {
    mailbox->put_outcome(cost, std::move(error));
  };
  engine_.submit(timeline_, std::move(request), listener.stop().get_token());
  auto outcome = outcome_of(listener, nullptr);
  const SettleRequest::Cost cost = co_await std::move(outcome);
  co_return SettleCost{cost.dropped, cost.prefilled};
}

Room LocalDialogue::room() const {
  return {transcript_.size(), engine_.engine().max_context_tokens()};
}

}  // namespace corvid::runtime
