// The chat format of one model family: rendering to pieces and incremental parsing, together
// because they are inverses of each other.
//
// Rendering is append-only: open() once, then user(), reply_prefix(), what the model says (its own
// tokens, never re-rendered), results(), reply_prefix() and so on. The whole history is rendered
// only where tokens are gone: `render` (files, tests, resume after settle, compaction).
// Stateless and immutable except TurnParser; any thread.
// Source: encoding of DeepSeek-V3.2 (published with the model).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat.h"
#include "model/text/tokenizer.h"

namespace corvid::model {

// What a reply grew by since the last feed.
struct Delta {
  std::string reasoning;
  std::string content;
  std::string call_text;  // raw text of the block of calls, for progress display

  bool empty() const { return reasoning.empty() && content.empty() && call_text.empty(); }
};

// Incremental parser of one reply. Fed byte by byte or at once, the outcome is the same; no input
// makes it throw. Text is held back only while it may still be the start of a marker or half of a
// UTF-8 sequence. Calls are recognised after `</think>` only.
class TurnParser {
 public:
  enum class Where { reasoning, content, calls, closed };  // closed: the block of calls has ended

  virtual ~TurnParser() = default;
  virtual Delta feed(std::string_view bytes) = 0;
  virtual Where where() const = 0;
  // No more input. `stop` says why; an unfinished call is dropped and named in Turn::problem.
  virtual Turn finish(Stop stop) = 0;
};

// A format has no state. Its virtual functions are the seam for other families.
class ChatFormat {
 public:
  // The format by its name; ModelError with the list of names when there is none.
  static std::shared_ptr<const ChatFormat> named(std::string_view name);
  // The format that the vocabulary's special tokens tell. ModelError that names the token when one
  // that the format needs is missing.
  static std::shared_ptr<const ChatFormat> for_tokenizer(const Tokenizer& tokenizer);

  virtual ~ChatFormat() = default;
  virtual std::string_view name() const = 0;  // "deepseek-v3.2"
  virtual int version() const = 0;            // journaled; changes when rendered bytes change
  virtual ReasoningRule reasoning_rule() const = 0;
  // The special tokens that prompts and replies are written with.
  virtual std::vector<std::string_view> special_tokens() const = 0;
  // Those of them that the model may say: first the one that ends its reply; others only while it
  // reasons.
  virtual std::vector<std::string_view> reply_tokens() const = 0;

  virtual Pieces open(std::string_view system, std::span<const ToolSpec> tools) const = 0;
  virtual Pieces user(std::string_view text) const = 0;
  // One result per call, in the order of the calls; call_id is not rendered.
  virtual Pieces results(std::span<const ToolResult> results) const = 0;
  // After user(): assistant marker and thinking marker; after results(): only the latter.
  virtual Pieces reply_prefix(Thinking thinking, bool after_results) const = 0;
  // What follows the reply in history: the text that closes a turn (end-of-sentence).
  virtual Pieces reply_suffix() const = 0;
  // An assistant reply of an earlier turn, as the official rendering of history has it.
  virtual Pieces history(const Turn& turn, bool after_results) const = 0;
  // ToolCall::id is left empty: the session names its calls.
  virtual std::unique_ptr<TurnParser> parser(Thinking thinking) const = 0;

  // The whole prompt exactly as the reference encoder prints it; it ends with a reply prefix unless
  // the last message is the assistant's. ModelError when calls and results do not fit together.
  virtual Pieces render(std::span<const Message> messages, std::span<const ToolSpec> tools,
                        Thinking thinking) const = 0;
};

// The text of a prompt, special tokens written out.
std::string text_of(const Pieces& pieces);

}  // namespace corvid::model
