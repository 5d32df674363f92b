#include "runtime/local_dialogue.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <mutex>
#include <optional>

#include "runtime/error.h"

namespace corvid::runtime {
namespace {

// From the engine thread to a coroutine on the io thread: progress is merged, the outcome comes
// once. It may end on either thread, and after the io thread's loop.
template <typename Outcome>
class Mailbox : public std::enable_shared_from_this<Mailbox<Outcome>> {
 public:
  struct Mail {
    model::Delta delta;
    std::optional<double> prefill_fraction;
    std::optional<Outcome> outcome;
    std::exception_ptr error;
  };

  // Engine thread.
  void put_progress(const model::Delta& delta, double prefill_fraction) {
    std::lock_guard lock(mutex_);
    mail_.delta.reasoning += delta.reasoning;
    mail_.delta.content += delta.content;
    mail_.delta.call_text += delta.call_text;
    mail_.prefill_fraction = prefill_fraction;
    ring();
  }
  void put_outcome(Outcome outcome, std::exception_ptr error) {
    std::lock_guard lock(mutex_);
    mail_.error = error;
    if (!error) mail_.outcome = std::move(outcome);
    ring();
  }

  // io thread.
  void set_bell(asio::steady_timer* bell) {
    std::lock_guard lock(mutex_);
    bell_ = bell;
  }
  Mail take() {
    std::lock_guard lock(mutex_);
    rung_ = false;
    return std::exchange(mail_, {});
  }

 private:
  void ring() {
    if (!bell_ || std::exchange(rung_, true)) return;
    auto on_io_thread = [self = this->shared_from_this()] {
      if (self->bell_) self->bell_->cancel();
    };
    asio::post(bell_->get_executor(), std::move(on_io_thread));
  }

  std::mutex mutex_;
  Mail mail_;
  bool rung_ = false;
  asio::steady_timer* bell_ = nullptr;  // set and used on the io thread; null when nobody listens
};

// The io thread's end of a mailbox and of the job behind it: both are let go with this.
template <typename Outcome>
class Listener {
 public:
  Listener(const asio::any_io_executor& io, std::shared_ptr<Mailbox<Outcome>> mailbox)
      : bell_(io, asio::steady_timer::time_point::max()), mailbox_(std::move(mailbox)) {
    mailbox_->set_bell(&bell_);
  }
  ~Listener() {
    mailbox_->set_bell(nullptr);
    stop_.request_stop();
  }
  Listener(const Listener&) = delete;

  Mailbox<Outcome>& mailbox() { return *mailbox_; }
  std::stop_source& stop() { return stop_; }
  asio::awaitable<void> wait() {
    boost::system::error_code rung;
    auto token = asio::redirect_error(asio::use_awaitable, rung);
    co_await bell_.async_wait(token);
  }

 private:
  asio::steady_timer bell_;
  std::shared_ptr<Mailbox<Outcome>> mailbox_;
  std::stop_source stop_;
};

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

LocalDialogue::LocalDialogue(const LocalModel& model, EngineThread& engine, LocalOptions options)
    : model_(model),
      engine_(engine),
      options_(options),
      transcript_(model.tokenizer, model.format, options.thinking),
      timeline_(engine.new_timeline()) {}
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
    return model.constraint(tools, thinking);
  };
  request.format = model_.format;
  request.tokenizer = model_.tokenizer;
  request.sampling = model_.sampling;
  request.sampling.seed = options_.seed + replies_++;
  request.thinking = transcript_.thinking();
  request.tools = tools_;
  request.max_tokens = options_.max_reply_tokens;
  if (request.max_tokens == 0) request.max_tokens = engine_.engine().max_context_tokens() / 2;
  request.on_progress = [mailbox](const model::Delta& delta, double prefill_fraction) {
    mailbox->put_progress(delta, prefill_fraction);
  };
  request.on_done = [mailbox](model::Turn turn, std::exception_ptr error) {
    mailbox->put_outcome(std::move(turn), error);
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
    mailbox->put_outcome(cost, error);
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
