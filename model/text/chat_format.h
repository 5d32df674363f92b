// The chat format of one model family: rendering to pieces and incremental parsing, together
// because they are inverses of each other.
//
// Rendering is append-only: open() once, then user(), reply_prefix(), what the model says (its own
// tokens, never re-rendered), results(), reply_prefix() and so on. The whole history is rendered
// only where tokens are gone: `render` (files, tests, resume after settle, compaction). How a reply
// is written is data (ReplySyntax); parser, constraint and the rendering of calls are the same for
// all formats. A format is one file in formats/. Stateless and immutable except TurnParser; any
// thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat.h"
#include "model/text/reply_syntax.h"
#include "model/text/tokenizer.h"

namespace corvid::model {

class GgufFile;

// A part of a call that is being written. The first one of a call has its name; the arguments of
// all of them, joined, are those of the finished call, unless that has a problem.
struct CallPart {
  std::size_t call = 0;  // which call of the reply
  std::string id;        // left empty, as ToolCall::id is
  std::string name;
  std::string arguments;

  bool operator==(const CallPart&) const = default;
};

// What a reply grew by since the last feed.
struct Delta {
  std::string reasoning;
  std::string content;
  std::string call_text;  // raw text of the block of calls, for progress display
  std::vector<CallPart> calls;

  bool empty() const {
    return reasoning.empty() && content.empty() && call_text.empty() && calls.empty();
  }
  // What came next. Parts of one call become one.
  Delta& operator+=(const Delta& next);
};

// Incremental parser of one reply. Fed byte by byte or at once, the outcome is the same; no input
// makes it throw. Text is held back only while it may still be the start of a marker or half of a
// UTF-8 sequence. Calls are recognised after the reasoning only.
class TurnParser {
 public:
  enum class Where { reasoning, content, calls, closed };  // closed: the block of calls has ended

  virtual ~TurnParser() = default;
  virtual Delta feed(std::string_view bytes) = 0;
  // A special token by its text.
  virtual Delta feed_special(std::string_view token) = 0;
  virtual Where where() const = 0;
  // No more input. `stop` says why; an unfinished call is dropped and named in Turn::problem.
  virtual Turn finish(Stop stop) = 0;
};

// Where a reply stands; some models think in some places only.
struct ReplyPlace {
  bool after_results = false;
  bool with_tools = false;
};

// How to sample from the models of a format, as their authors recommend it for work with tools.
struct RecommendedSampling {
  float temperature = 1;
  float top_p = 0.95F;
};

class ChatFormat {
 public:
  static std::vector<std::string_view> names();
  // ModelError with the list of names when there is none such.
  static std::shared_ptr<const ChatFormat> named(std::string_view name);
  // The format of a model: the one with this name, or when it is empty the one that the file's
  // template, architecture and vocabulary tell. ModelError when they tell none, or with the names
  // of the special tokens that the vocabulary lacks.
  static std::shared_ptr<const ChatFormat> of_model(const GgufFile& file,
                                                    const Tokenizer& tokenizer,
                                                    std::string_view name = {});

  virtual ~ChatFormat() = default;
  virtual std::string_view name() const = 0;  // "deepseek-v3.2"
  virtual int version() const = 0;            // journaled; changes when rendered bytes change
  virtual ReasoningRule reasoning_rule() const = 0;
  // What the reply at this place does when thinking is asked for.
  virtual Thinking thinking(Thinking asked, ReplyPlace) const { return asked; }
  virtual RecommendedSampling sampling() const = 0;
  virtual const ReplySyntax& syntax() const = 0;
  // All special tokens that prompts and replies are written with.
  virtual std::vector<std::string_view> special_tokens() const = 0;

  virtual Pieces open(std::string_view system, std::span<const ToolSpec> tools) const = 0;
  virtual Pieces user(std::string_view text) const = 0;
  // One result per call, in the order of the calls; call_id is not rendered.
  virtual Pieces results(std::span<const ToolResult> results) const = 0;
  // What stands before a reply that is about to come. `thinking` is what thinking() said.
  virtual Pieces reply_prefix(Thinking thinking, bool after_results) const = 0;
  // What stands before an earlier reply instead of its prefix and its reasoning.
  virtual Pieces history_prefix(bool after_results) const = 0;
  // What a message, or results, that nobody answered are followed by.
  virtual Pieces unanswered(bool) const { return {}; }
  // The text that closes a reply in history: its end token, where the next message does not begin
  // with that. Otherwise the token that ended a reply is no part of it.
  virtual Pieces reply_suffix() const = 0;
  // An assistant reply of an earlier turn, as the official rendering of history has it.
  Pieces history(const Turn& turn, bool after_results) const;
  // ToolCall::id is left empty: the session names its calls. Where the syntax does not say what a
  // value is, the schemas of `tools` do; ModelError when they are not JSON.
  std::unique_ptr<TurnParser> parser(Thinking thinking, std::span<const ToolSpec> tools) const;

  // The whole prompt exactly as the reference template prints it; it ends with a reply prefix
  // unless the last message is the assistant's. Replies that come with what the model said are
  // that, token by token: all of it where reasoning is kept, without the reasoning elsewhere. So a
  // conversation that goes on begins with the tokens of the one before. ModelError when calls and
  // results do not fit together.
  Pieces render(std::span<const Message> messages, std::span<const ToolSpec> tools,
                Thinking thinking) const;

 protected:
  // How a reply of the present turn is rendered when its tokens are gone.
  virtual Pieces present(const Message& reply, Thinking thinking, bool after_results) const;
  // A reply's content as history has it.
  virtual std::string_view shown(std::string_view content) const { return content; }
  // A system message that is not the first one; nullopt: it is joined to the first. `leading`: only
  // system messages come before it.
  virtual std::optional<Pieces> later_system(std::string_view, bool leading) const;

 private:
  friend class Rendering;
  void write_reply(PieceWriter& out, std::string_view content,
                   std::span<const ToolCall> calls) const;
};

// The text of a prompt, special tokens written out. Pieces that are tokens have none.
std::string text_of(const Pieces& pieces);

// How a reply's tokens are said again later. `thinking` is what the reply was asked for.
Said said_of(const ChatFormat& format, const Tokenizer& tokenizer, std::span<const Token> reply,
             Thinking thinking);

}  // namespace corvid::model
