// The vocabulary of a conversation: messages, tool specifications, calls, results and turns.
//
// Plain values without behaviour, shared by every room. JSON travels as validated text whose key
// order is kept, because the chat format prints it into the prompt byte for byte. Any thread may
// hold them; nothing here throws.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace corvid::model {

using Token = std::int32_t;

// A tool as the model sees it.
struct ToolSpec {
  std::string name;
  std::string description;
  std::string parameters;  // JSON Schema (object), validated text, key order kept

  bool operator==(const ToolSpec&) const = default;
};

// A call that the model made. `arguments` is always a valid JSON object. When `problem` is set, the
// model's own arguments were not: such a call is answered with the problem and never carried out.
struct ToolCall {
  std::string id;  // unique within the session
  std::string name;
  std::string arguments;
  std::string problem = {};  // "the arguments are not a JSON object: ..."

  bool operator==(const ToolCall&) const = default;
};

// The one answer to a call. `text` is valid UTF-8.
struct ToolResult {
  std::string call_id;
  std::string text;
  bool is_error = false;

  bool operator==(const ToolResult&) const = default;
};

enum class Role { system, user, assistant, tool };

enum class Thinking { on, off };

// What the model itself said, token by token: rendered as it was sampled, never from its text.
struct Said {
  Thinking thinking = Thinking::on;  // as it was asked for this reply
  std::vector<Token> reasoning;      // with the marker that ends it
  std::vector<Token> rest;           // content and calls
  bool ended = true;                 // `rest` has the token that ends a reply
};

// One entry of a conversation as an outside format sees it (files, HTTP APIs, `corvid render`).
struct Message {
  Role role = Role::user;
  std::string content;
  std::string reasoning;                  // assistant only
  std::vector<ToolCall> calls;            // assistant only
  std::string call_id;                    // tool only: the call that this answers
  std::shared_ptr<const Said> said = {};  // assistant only: stands for the three texts
};

// How long reasoning traces stay in the context (design: a property of the model).
enum class ReasoningRule {
  turn,    // V3.2: kept inside a user turn, dropped when the next user message comes
  always,  // DeepSeek's API (V4), Kimi and unknown remote models
  never,   // dropped at the end of the turn, not inside it
};

// Why a reply ended.
enum class Stop {
  end,           // the model closed its answer
  calls,         // the model closed a block of calls
  length,        // max_tokens reached; an unfinished call is never executed
  context_full,  // no room left in the context
  interrupted,   // the user stopped it
  malformed,     // the reply cannot be read as the chat format; `problem` says why
};

// Token counts of one reply. `prefilled` counts rows that the network computed for tokens that the
// model did not sample; `reused` those that were already in the KV cache.
struct Usage {
  int prefilled = 0;
  int reused = 0;
  int generated = 0;  // sampled by the model
  int forced = 0;     // protocol text with one legal continuation, appended without sampling
  double prefill_seconds = 0;
  double decode_seconds = 0;
};

// One reply of the model.
struct Turn {
  Stop stop = Stop::end;
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> calls;
  std::vector<Token> tokens;  // exactly what was sampled or forced; empty for remote models
  std::string problem;        // for people, when `stop` is malformed
  Usage usage;
};

}  // namespace corvid::model
