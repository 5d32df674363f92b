#include "runtime/engine_thread.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>

#include "memory/prefix_tree.h"

namespace corvid::runtime {

using memory::common_prefix;

namespace {

constexpr int kPrefillChunkTokens = 240;  // two, and 32 tokens of others, fit into a batch

}  // namespace

// One request on its way. All but the constructor runs on the engine thread.
class EngineThread::Job {
 public:
  Job(std::shared_ptr<Timeline> timeline, ContextPool& pool, std::stop_token stop)
      : timeline_(std::move(timeline)), pool_(pool), stop_(std::move(stop)) {}
  virtual ~Job() = default;

  const Timeline* timeline() const { return timeline_.get(); }
  const std::stop_token& stop() const { return stop_; }
  bool finished() const { return finished_; }
  virtual bool urgent() const = 0;
  // Whose is the lowest has waited longest.
  std::uint64_t ticket() const { return ticket_; }
  void queue_up(std::uint64_t ticket) { ticket_ = ticket; }

  // What to run next; starts the job the first time. Nothing: the job is finished.
  const std::optional<model::Work>& work(model::Engine& engine) {
    if (!work_ && !finished_) {
      try_to([&] {
        work_ = started_ ? next() : start(engine);
        started_ = true;
        if (!work_) finish(nullptr);
      });
    }
    return work_;
  }
  void advance() {
    work_.reset();
    try_to([this] {
      follow();
      stepped();
    });
  }
  // Calls on_done. With no error: with what has been done so far.
  void finish(std::exception_ptr error) {
    if (std::exchange(finished_, true)) return;
    work_.reset();
    answer(std::move(error));
  }

 protected:
  virtual std::optional<model::Work> start(model::Engine& engine) = 0;
  virtual std::optional<model::Work> next() = 0;
  virtual void stepped() = 0;
  virtual void answer(std::exception_ptr error) = 0;

  // The timeline's context, equal to the beginning of `tokens` as far as that may be.
  model::Context& context_for(model::Engine& engine, std::span<const model::Token> tokens) {
    std::unique_ptr<model::Context>& context = timeline_->context;
    if (timeline_->pooled_for) {
      context = pool_.take(engine, tokens, *timeline_->pooled_for);
    } else if (!context) {
      context = engine.new_context();
    }
    return *context;
  }
  // Forgets what the timeline's context holds beyond.
  void rewind(int n_tokens) {
    timeline_->context->rewind({n_tokens});
    follow();
  }
  // The timeline does not need its context until its next request.
  void give_back() {
    if (!timeline_->pooled_for || !timeline_->context) return;
    timeline_->held_tokens = timeline_->context->mark().n_tokens;
    pool_.put(std::move(timeline_->context));
  }

  const std::shared_ptr<Timeline> timeline_;

 private:
  // What is thrown is the other thread's from here on: nothing of it is left to be freed here.
  template <class F>
  void try_to(F&& act) {
    std::exception_ptr error;
    try {
      act();
      return;
    } catch (...) {
      error = std::current_exception();
    }
    finish(std::move(error));
  }
  void follow() {
    if (timeline_->pooled_for) pool_.follow(*timeline_->context);
  }

  ContextPool& pool_;
  const std::stop_token stop_;
  std::optional<model::Work> work_;
  std::uint64_t ticket_ = 0;
  bool started_ = false;
  bool finished_ = false;
};

// Makes the context equal to the prompt, keeping the longest common prefix, and lets the model
// speak.
class EngineThread::ReplyJob : public Job {
 public:
  ReplyJob(std::shared_ptr<Timeline> timeline, ContextPool& pool, ReplyRequest request,
           std::stop_token stop)
      : Job(std::move(timeline), pool, std::move(stop)), request_(std::move(request)) {}
  bool urgent() const override { return true; }

 private:
  std::optional<model::Work> start(model::Engine& engine) override {
    const std::span<const model::Token> prompt = request_.prompt;
    model::Context& context = context_for(engine, prompt);
    // The last token is run again when it is there: its logits are wanted.
    reused_ =
        std::min(common_prefix(context.tokens(), prompt), static_cast<int>(prompt.size()) - 1);
    rewind(reused_);
    model::GenerateOptions options;
    options.sampling = request_.sampling;
    options.thinking = request_.thinking;
    options.bare_text = request_.bare_text;
    options.tools = request_.tools;
    options.max_tokens = request_.max_tokens;
    options.prompt.assign(prompt.begin() + reused_, prompt.end());
    options.prefill_chunk_tokens = std::min(kPrefillChunkTokens, engine.max_batch_tokens());
    n_new_ = static_cast<int>(options.prompt.size());
    generation_.emplace(context, request_.format, request_.tokenizer, request_.constraint(),
                        std::move(options));
    return next();
  }
  std::optional<model::Work> next() override {
    if (generation_->done()) return std::nullopt;
    return generation_->work();
  }
  void stepped() override {
    const model::Delta delta = generation_->advance();
    const double left = generation_->prompt_tokens_left();
    request_.on_progress({delta, 1 - left / n_new_, reused_});
  }
  void answer(std::exception_ptr error) override {
    model::Turn turn;
    if (generation_ && !error) {
      if (!generation_->done()) generation_->interrupt();
      turn = generation_->finish();
    } else {
      turn.stop = model::Stop::interrupted;
    }
    turn.usage.reused = reused_;
    generation_.reset();
    give_back();
    if (error) return request_.on_done(std::move(turn), std::move(error));
    request_.on_done(std::move(turn), nullptr);
  }

  ReplyRequest request_;
  std::optional<model::Generation> generation_;
  int reused_ = 0;
  int n_new_ = 0;
};

// Computes the stripped prefix beside the old one and takes its place when it is complete.
class EngineThread::SettleJob : public Job {
 public:
  SettleJob(std::shared_ptr<Timeline> timeline, ContextPool& pool, SettleRequest request,
            std::stop_token stop)
      : Job(std::move(timeline), pool, std::move(stop)), request_(std::move(request)) {}
  bool urgent() const override { return false; }

 private:
  std::optional<model::Work> start(model::Engine& engine) override {
    model::Context& old = context_for(engine, request_.tokens);
    const int held = timeline_->pooled_for ? timeline_->held_tokens : old.mark().n_tokens;
    common_ = common_prefix(old.tokens(), request_.tokens);
    if (common_ == held) return std::nullopt;  // nothing to drop
    cost_.dropped = held - common_;
    chunk_ = std::min(kPrefillChunkTokens, engine.max_batch_tokens());
    if (timeline_->pooled_for) {
      settled_ = &old;  // from the pool it is a fork already
      rewind(common_);
    } else {
      beside_ = old.fork();
      settled_ = beside_.get();
      settled_->rewind({common_});
    }
    return next();
  }
  std::optional<model::Work> next() override {
    const std::span<const model::Token> left =
        std::span(request_.tokens).subspan(settled_->mark().n_tokens);
    if (left.empty()) {
      settled_ = nullptr;
      if (beside_) timeline_->context = std::move(beside_);
      return std::nullopt;
    }
    const std::size_t n = std::min(left.size(), static_cast<std::size_t>(chunk_));
    return model::Work{settled_, left.first(n), model::Rows::none};
  }
  void stepped() override { cost_.prefilled = settled_->mark().n_tokens - common_; }
  void answer(std::exception_ptr error) override {
    if (settled_) cost_ = {};  // stopped before it was complete: the old context stays
    beside_.reset();
    give_back();
    request_.on_done(cost_, std::move(error));
  }

  SettleRequest request_;
  std::unique_ptr<model::Context> beside_;
  model::Context* settled_ = nullptr;  // while it is not complete
  SettleRequest::Cost cost_;
  int common_ = 0;
  int chunk_ = 0;
};

EngineThread::EngineThread(std::shared_ptr<model::Engine> engine, ContextPool::Options pool)
    : engine_(std::move(engine)),
      pool_(pool),
      thread_([this](std::stop_token stop) { run(stop); }) {}

EngineThread::~EngineThread() {
  thread_.request_stop();
  thread_.join();
}

std::shared_ptr<Timeline> EngineThread::new_timeline() {
  // A context ends on the engine thread, too: its pages may be shared.
  return {new Timeline, [this](Timeline* timeline) {
            std::lock_guard lock(mutex_);
            discarded_.emplace_back(timeline);
            arrived_.notify_one();
          }};
}

std::shared_ptr<Timeline> EngineThread::pooled_timeline(std::uint64_t owner) {
  std::shared_ptr<Timeline> timeline = new_timeline();
  timeline->pooled_for = owner;
  return timeline;
}

void EngineThread::submit(std::shared_ptr<Timeline> timeline, ReplyRequest request,
                          std::stop_token stop) {
  assert(!request.prompt.empty());
  enqueue(
      std::make_unique<ReplyJob>(std::move(timeline), pool_, std::move(request), std::move(stop)));
}

void EngineThread::submit(std::shared_ptr<Timeline> timeline, SettleRequest request,
                          std::stop_token stop) {
  enqueue(
      std::make_unique<SettleJob>(std::move(timeline), pool_, std::move(request), std::move(stop)));
}

void EngineThread::enqueue(std::unique_ptr<Job> job) {
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(job));
  arrived_.notify_one();
}

void EngineThread::run(std::stop_token stop) {
  while (admit(stop)) step();
  for (const auto& job : active_) job->finish(nullptr);
  active_.clear();
  admit(stop);
  pool_.save();
}

// Takes in what has arrived; sleeps while there is nothing to do. False: time to end.
bool EngineThread::admit(std::stop_token stop) {
  std::vector<std::unique_ptr<Timeline>> gone;
  std::unique_lock lock(mutex_);
  if (active_.empty()) {
    arrived_.wait(lock, stop, [this] { return !queue_.empty() || !discarded_.empty(); });
  }
  for (const auto& job : queue_) job->queue_up(++tickets_);
  std::ranges::move(queue_, std::back_inserter(active_));
  queue_.clear();
  gone.swap(discarded_);
  lock.unlock();
  return !stop.stop_requested();
}

// The first job of each timeline that has work; settling only while nobody waits for an answer.
std::vector<EngineThread::Job*> EngineThread::runnable() {
  std::vector<Job*> jobs;
  for (const auto& job : active_) {
    const bool behind = std::ranges::any_of(
        jobs, [&](const Job* other) { return other->timeline() == job->timeline(); });
    if (!behind) jobs.push_back(job.get());
  }
  if (std::ranges::any_of(jobs, &Job::urgent)) {
    std::erase_if(jobs, [](const Job* job) { return !job->urgent(); });
  }
  std::erase_if(jobs, [this](Job* job) { return !job->work(*engine_); });
  return jobs;
}

void EngineThread::step() {
  for (const auto& job : active_) {
    if (job->stop().stop_requested()) job->finish(nullptr);
  }
  remove_finished();

  // Who has waited longest is in it, so everybody's turn comes; then the short before the long.
  const auto n_tokens = [this](Job* job) { return job->work(*engine_)->tokens.size(); };
  std::vector<Job*> jobs = runnable();
  std::ranges::sort(jobs, {}, &Job::ticket);
  const auto shorter = [&](Job* a, Job* b) { return n_tokens(a) < n_tokens(b); };
  if (jobs.size() > 2) std::stable_sort(jobs.begin() + 1, jobs.end(), shorter);
  std::size_t room = engine_->max_batch_tokens();
  std::erase_if(jobs, [&](Job* job) {
    const std::size_t n = n_tokens(job);
    const bool fits = n <= room;
    if (fits) room -= n;
    return !fits;
  });
  for (Job* job : jobs) job->queue_up(++tickets_);
  if (!jobs.empty()) step(jobs);
  remove_finished();
}

void EngineThread::step(std::span<Job* const> jobs) {
  std::vector<model::Work> batch;
  for (Job* job : jobs) batch.push_back(*job->work(*engine_));
  bool done = false;
  try {
    // A single job may be stopped inside the step; others would lose their share of it.
    done = engine_->step(batch, jobs.size() == 1 ? jobs[0]->stop() : std::stop_token());
  } catch (...) {
    if (jobs.size() == 1) return jobs[0]->finish(std::current_exception());
    // Alone each shows whose fault it was.
    for (std::size_t i = 0; i < jobs.size(); ++i) step(jobs.subspan(i, 1));
  }
  if (done) std::ranges::for_each(jobs, &Job::advance);
}

void EngineThread::remove_finished() {
  std::erase_if(active_, [](const auto& job) { return job->finished(); });
}

}  // namespace corvid::runtime
