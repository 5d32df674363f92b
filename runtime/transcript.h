// A conversation as the tokens that a context must hold.
//
// What the model said keeps the ids it sampled; text that nobody sampled has the ids of the
// official prompt. When a new user message comes, the reasoning of earlier turns is left out by the
// model's rule; what stays is byte for byte the official rendering of history. Pure bookkeeping:
// no context, no compute. One thread at a time.
#pragma once

#include <memory>
#include <vector>

#include "model/text/chat_format.h"
#include "model/text/tokenizer.h"
#include "runtime/dialogue.h"

namespace corvid::runtime {

class Transcript {
 public:
  Transcript(std::shared_ptr<const model::Tokenizer> tokenizer,
             std::shared_ptr<const model::ChatFormat> format, model::Thinking thinking);

  void append(const Entry& entry);
  void replace(const std::vector<Entry>& entries);

  // Everything up to the point where the model speaks next.
  std::vector<model::Token> prompt() const;
  // Everything said so far as it will be once the next user message has come.
  std::vector<model::Token> settled() const;
  // Length of prompt().
  int size() const;
  // What the next reply does: some models think in some places only.
  model::Thinking thinking() const;

 private:
  enum class Awaiting { nothing, answer_to_user, answer_to_results };

  // Text that nobody sampled, then what the model said.
  struct Step {
    std::vector<model::Token> kept;      // with reasoning
    std::vector<model::Token> stripped;  // without; differs from `kept` by the model's rule only
  };

  void add_reply(const model::Turn& turn);
  std::vector<model::Token> render(std::size_t kept_from) const;
  bool after_results() const { return awaiting_ == Awaiting::answer_to_results; }
  void close_unanswered();
  model::Pieces pending_with(const model::Pieces& prefix) const;
  model::Pieces reply_prefix() const;
  std::size_t reasoning_length(const model::Turn& turn) const;
  bool ends_itself(const std::vector<model::Token>& reply) const;

  const std::shared_ptr<const model::Tokenizer> tokenizer_;
  const std::shared_ptr<const model::ChatFormat> format_;
  const model::Thinking thinking_;

  std::vector<Step> steps_;
  bool with_tools_ = false;
  std::size_t turn_start_ = 0;  // first step after the last user message
  model::Pieces pending_;       // after the last reply
  Awaiting awaiting_ = Awaiting::nothing;
};

}  // namespace corvid::runtime
