// A dialogue with a model inside this program.
//
// Its own list of tokens is the truth (Transcript); the context of its timeline follows: before a
// reply it is made equal to that list from the first difference on, so every token is computed
// once. The context lags by the token that ended the last reply. Deltas come from the engine thread
// through a mailbox that merges what nobody has fetched yet, bounded by the length of a reply. The
// model and the engine thread outlive it. io thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/dialogue.h"
#include "runtime/engine_thread.h"
#include "runtime/local_model.h"
#include "runtime/transcript.h"

namespace corvid::runtime {

struct LocalOptions {
  model::Thinking thinking = model::Thinking::on;
  model::Sampling sampling;  // but for the seed, which each reply has its own of
  std::uint64_t seed = 0;
  int max_reply_tokens = 0;  // 0: half of the context
};

class LocalDialogue : public Dialogue {
 public:
  // The timeline is this dialogue's alone.
  LocalDialogue(const LocalModel& model, EngineThread& engine, std::shared_ptr<Timeline> timeline,
                LocalOptions options);
  ~LocalDialogue() override;

  std::string description() const override;
  void append(Entry entry) override;
  asio::awaitable<model::Turn> reply(OnDelta on_delta) override;
  asio::awaitable<SettleCost> settle() override;
  asio::awaitable<void> replace(std::vector<Entry> entries) override;
  Room room() const override;

  const Timeline& timeline() const { return *timeline_; }

 private:
  const LocalModel& model_;
  EngineThread& engine_;
  const LocalOptions options_;
  Transcript transcript_;
  std::vector<model::ToolSpec> tools_;
  std::uint64_t replies_ = 0;  // each has a seed of its own
  const std::shared_ptr<Timeline> timeline_;
};

}  // namespace corvid::runtime
