// The one thread that runs a model: it owns all contexts and steps the active ones together.
//
// Requests of one timeline run in the order they came; timelines run side by side, fair between
// them: nobody is passed over for good, and a token hardly ever waits for others' prompts. What
// fails or is stopped ends alone. A timeline has a context of its own, or borrows for each request
// the pooled one that holds most of its prompt already. Settling runs only while no reply does.
// submit() may be called from any thread; a request's callbacks come on the engine thread,
// `on_done` exactly once. The destructor interrupts what is running and joins.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "model/engine.h"
#include "model/generate.h"
#include "runtime/context_pool.h"

namespace corvid::runtime {

// A context and its place in the queue. Filled, used and emptied by the engine thread alone; others
// may look while none of its requests is under way.
struct Timeline {
  std::unique_ptr<model::Context> context;  // null before the first request; pooled: between them
  std::optional<std::uint64_t> pooled_for;  // whose pooled contexts it borrows: owners share none
  int held_tokens = 0;                      // pooled: by the context that was given back last
};

struct ReplyRequest {
  std::vector<model::Token> prompt;  // all that the context must hold before the model speaks
  std::function<std::unique_ptr<model::Constraint>()> constraint;
  std::shared_ptr<const model::ChatFormat> format;
  std::shared_ptr<const model::Tokenizer> tokenizer;
  model::Sampling sampling;
  model::Thinking thinking = model::Thinking::on;
  bool bare_text = false;              // see model::GenerateOptions
  std::vector<model::ToolSpec> tools;  // as the constraint has them
  int max_tokens = 0;                  // 0: the room in the context
  struct Progress {
    const model::Delta& delta;
    double prefill_fraction = 1;
    int reused = 0;  // tokens of the prompt that the context had already
  };
  std::function<void(const Progress&)> on_progress;
  std::function<void(model::Turn, std::exception_ptr)> on_done;
};

struct SettleRequest {
  std::vector<model::Token> tokens;  // what the context shall hold
  struct Cost {
    int dropped = 0, prefilled = 0;
  };
  std::function<void(Cost, std::exception_ptr)> on_done;
};

class EngineThread {
 public:
  explicit EngineThread(std::shared_ptr<model::Engine> engine, ContextPool::Options pool = {});
  ~EngineThread();

  const model::Engine& engine() const { return *engine_; }
  std::shared_ptr<Timeline> new_timeline();  // gone before this object
  std::shared_ptr<Timeline> pooled_timeline(std::uint64_t owner);

  void submit(std::shared_ptr<Timeline> timeline, ReplyRequest request, std::stop_token stop);
  void submit(std::shared_ptr<Timeline> timeline, SettleRequest request, std::stop_token stop);

 private:
  class Job;
  class ReplyJob;
  class SettleJob;
  using Jobs = std::vector<std::unique_ptr<Job>>;

  void enqueue(std::unique_ptr<Job> job);
  void run(std::stop_token stop);
  bool admit(std::stop_token stop);
  std::vector<Job*> runnable();
  void step();
  void step(std::span<Job* const> jobs);
  void remove_finished();

  const std::shared_ptr<model::Engine> engine_;
  ContextPool pool_;  // engine thread
  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::vector<std::unique_ptr<Timeline>> discarded_;  // guarded by mutex_
  Jobs queue_;                                        // guarded by mutex_
  Jobs active_;
  std::uint64_t tickets_ = 0;  // drawn by those who arrive and by those who were in a step
  std::jthread thread_;
};

}  // namespace corvid::runtime
