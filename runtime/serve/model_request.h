// A request as the engine sees it, whichever API it came by, and the answer as every API tells it.
//
// Each API has one file that reads its requests into a ModelRequest and writes FinishedReply (or
// its growth) in its own shape. Plain values; any thread. Reading throws ModelError or ApiError
// that name the field.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/chat.h"
#include "model/text/chat_format.h"
#include "model/text/json_field.h"
#include "model/text/reply_rule.h"
#include "runtime/serve/api_error.h"

namespace corvid::runtime {

struct ModelRequest {
  std::vector<model::Message> messages;
  std::vector<model::ToolSpec> tools;
  std::optional<std::string> text;  // a bare text to go on with, instead of messages and tools
  model::Thinking thinking = model::Thinking::on;
  model::ReplyRule rule;
  std::vector<std::string> allowed_tools;           // of the tools; empty: all
  std::optional<double> temperature, top_p, min_p;  // empty: the model's own
  std::optional<std::uint64_t> seed;
  std::map<model::Token, float> logit_bias;  // these four: see model::Sampling
  double presence_penalty = 0;
  double frequency_penalty = 0;
  int top_k = 0;
  int max_tokens = 0;                   // 0: the room in the context
  bool ignore_end = false;              // of a bare text: it goes on to its limit
  std::vector<std::string> stop_texts;  // the content ends before one of them
  bool stream = false;
};

struct ReplyUsage {
  int prompt_tokens = 0;
  int cached_tokens = 0;  // of the prompt: they were in the KV cache
  int reply_tokens = 0;
  int reasoning_tokens = 0;  // of the reply
};

struct FinishedReply {
  enum class Finish { end, calls, length, stop_text };
  Finish finish = Finish::end;
  std::string stop_text;  // the one that was found
  std::string reasoning, content;
  std::vector<model::ToolCall> calls;  // with their ids
  ReplyUsage usage;
};

// Tells one reply in an API's own shape: as a stream begin, grow..., end or fail; or as a whole.
// What end() is given has been told by grow() already, but for the calls of a reply that was cut
// off: they have begun, and are none of it.
class ReplyWriter {
 public:
  virtual ~ReplyWriter() = default;
  virtual std::string begin(const ReplyUsage& so_far) = 0;
  virtual std::string grow(const model::Delta& delta) = 0;
  virtual std::string end(const FinishedReply& reply) = 0;
  virtual std::string fail(const ApiError& error) = 0;
  virtual std::string whole(const FinishedReply& reply) = 0;
};

// A request that has been read, and who tells its answer.
struct ApiCall {
  ModelRequest request;
  std::unique_ptr<ReplyWriter> writer;
};

// --- What the APIs have in common. ---------------------------------------------------------------

// What changes the sampling, and stream, which all of them spell alike; and the types of what they
// know and what changes nothing here.
void read_sampling(const model::JsonField& body, ModelRequest& request);
int read_max_tokens(const model::JsonField& field);
// A text, or a list of up to 16 of them.
std::vector<std::string> read_stop_texts(const model::JsonField& field);
// ApiError when a tool cannot be offered: its name, or one name twice. `field` is the list's.
void check_tools(const std::vector<model::ToolSpec>& tools, const std::string& field);

// The items of the list of messages, or of what they are made of. Bounded.
std::vector<model::JsonField> read_items(const model::JsonField& list);
// Each result has its call, and each call its result. ApiError names `field`, the list's.
void check_results(const std::vector<model::Message>& messages, const std::string& field);
// Whether an effort is any at all; fails on a word that no client says.
bool is_effort(const model::JsonField& effort);

// {"type": ...}, as both vendors say whether to think.
bool is_thinking(const model::JsonField& thinking);

// The reply has to call a tool: this one, or any when `name` is empty. `field` asks for it.
void need_call(ModelRequest& request, const model::JsonField& field, const std::string& name);
// "auto", "none" or "required", as both of OpenAI's APIs say it.
void read_tool_choice_word(const model::JsonField& choice, ModelRequest& request);
// {"mode", "tools"}: only these may be called. `name_of` reads one of them.
void read_allowed_tools(const model::JsonField& allowed, ModelRequest& request,
                        std::string (*name_of)(const model::JsonField& tool));

// "chatcmpl-" and 24 letters that nobody can guess.
std::string random_id(std::string_view prefix);
std::int64_t seconds_since_epoch();

// One server-sent event; `event` may be empty.
std::string sse(std::string_view event, std::string_view data);

}  // namespace corvid::runtime
