// One reply in progress on one context: sampling, constraint and parser in lockstep.
//
// A state machine without a loop of its own, so that the engine thread can step many replies
// together: ask work(), run it with others in Engine::step, then advance(). Generation stops at the
// token that closes the block of calls or the answer. Forced protocol text is appended as one
// chunk without sampling. What was said last is not run through the network any more: Turn::tokens
// has it, the context does not yet, and the next prompt starts with it. Special tokens that the
// format does not expect in a reply are never sampled. Engine thread only; the context outlives it.
// ModelError when the network's output is not a number.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "model/chat.h"
#include "model/engine.h"
#include "model/sampler.h"
#include "model/text/chat_format.h"
#include "model/text/constraint.h"

namespace corvid::model {

struct GenerateOptions {
  Sampling sampling;
  Thinking thinking = Thinking::on;
  bool bare_text = false;          // no reply of a conversation: all that is said is content
  std::vector<ToolSpec> tools;     // for the parser of replies; the constraint has its own
  int max_tokens = 0;              // 0: the room in the context
  std::vector<Token> prompt;       // appended to the context first, in chunks; not empty
  int prefill_chunk_tokens = 256;  // interrupts are seen between chunks
};

class Generation {
 public:
  // `constraint` may be null (no tools).
  Generation(Context& context, std::shared_ptr<const ChatFormat> format,
             std::shared_ptr<const Tokenizer> tokenizer, std::unique_ptr<Constraint> constraint,
             GenerateOptions options);
  ~Generation();

  bool done() const;
  // What to run next: a chunk of the prompt, or the tokens sampled or forced last. Empty when done.
  std::optional<Work> work();
  // After a successful step that contained work(): samples, parses, and says what was added.
  Delta advance();
  // Stops here: what was said so far is the reply. Stop::interrupted when not done.
  void interrupt();
  // The finished reply with all its tokens. Call once, when done.
  Turn finish();

  int prompt_tokens_left() const;  // for progress

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace corvid::model
