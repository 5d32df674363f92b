// The language of replies, byte by byte: free text until a block of calls opens, then exactly the
// syntax of the format over the given tools and their schemas.
//
// A byte is one of text or a mark that stands for a special token: see ReplySyntax, which outlives
// this. A ReplyRule may want a call as the first thing after the reasoning, forbid calls, or want
// content that is JSON. CallGrammar is immutable and may be shared; a State is a plain value that
// walks through it. Inside a call every parameter is known, none comes twice, the required ones
// come before the end, and JSON values fit what JsonGrammar keeps of their schemas. A payload is
// free up to its closing tag. Outside, it follows the text as the TurnParser does. Any thread. The
// constructor throws ModelError when a schema is not JSON, or no tool is left where one is needed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/chat.h"
#include "model/text/code_fence.h"
#include "model/text/json_grammar.h"
#include "model/text/reply_rule.h"
#include "model/text/reply_syntax.h"

namespace corvid::model {

class CallGrammar {
 public:
  CallGrammar(const ReplySyntax& syntax, std::span<const ToolSpec> tools, Thinking thinking,
              const ReplyRule& rule = {});
  ~CallGrammar();

  enum class Mode : std::uint8_t {
    reasoning,  // until the tag that ends it
    content,    // until calls open
    choice,     // one of some texts: tags, names, enumerated values
    payload,    // a text, until its closing tag
    json,       // a typed value, or all arguments
    document,   // the content, where it has to be JSON
    between,    // after a call, where no block is closed: another call or the end of the reply
    closed,     // the block has ended: only the end of the reply may follow
    lost,       // something else was said: nothing is constrained any more
  };

  struct State {
    Mode mode = Mode::content;
    std::uint8_t matched = 0;  // bytes of the tag that may be coming, where one is looked for
    std::uint8_t lead = 0;     // content: bytes of what may come before it, and one
    CodeFence fence;           // content
    Choice choice;
    std::uint8_t then = 0;  // Step: what a choice leads to
    std::uint16_t tool = 0;
    std::uint16_t parameter = 0;
    std::uint64_t used = 0;  // parameters of this call that are there already
    JsonState json;

    bool operator==(const State&) const = default;
  };

  State start() const { return start_; }
  // False: no reply goes on with this byte; the state is then of no use.
  bool step(State& state, std::uint8_t byte) const;
  // The one byte that may follow; nullopt when there are several, or none.
  std::optional<std::uint8_t> only_byte(const State& state) const;
  // Whether the reply may end here.
  bool may_end(const State& state) const;

 private:
  struct Parts;
  State start_;
  std::unique_ptr<const Parts> parts_;
};

}  // namespace corvid::model
