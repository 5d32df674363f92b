// One streamed reply of a chat-completions server, put together from its `data:` payloads.
//
// Lenient about what servers really send (reasoning under two names, calls with or without index
// and id, whole messages instead of deltas, unknown fields), strict about what would be guessed:
// arguments that are not a JSON object make a call with a problem, a reply that was cut at
// max_tokens has no calls, a payload that is not JSON is an error. Any thread; RuntimeError.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat.h"
#include "model/text/chat_format.h"

namespace corvid::runtime {

// What the server counted; -1: it did not say.
struct ServerUsage {
  int prompt_tokens = -1;
  int cached_tokens = -1;
  int completion_tokens = -1;
};

struct ChatReply {
  model::Turn turn;               // without token counts and times
  std::string message;            // the assistant message to send back, JSON text
  std::string without_reasoning;  // the same message after its reasoning has been dropped
  ServerUsage usage;
  bool has_reasoning = false;
};

class ChatStream {
 public:
  // One payload of the stream (or the body of a reply that was not streamed).
  model::Delta add(std::string_view payload);
  bool closed() const { return closed_; }                    // [DONE] has come
  bool answered() const { return !finish_reason_.empty(); }  // a finish reason has come
  // From servers that report it: the part of the prompt that is computed, 0..1.
  std::optional<double> prefill_fraction() const { return prefill_fraction_; }
  std::string server_mark() const { return system_fingerprint_; }
  // `cut`: why the reply ends here although the server did not say so.
  ChatReply finish(std::optional<model::Stop> cut) const;

 private:
  struct Call {
    int index = -1;
    std::string id, name, arguments;
  };
  Call& call_at(int index, const std::string& id, bool names_tool);
  model::Stop stop() const;
  std::string message(const std::string& content, const std::vector<Call>& calls,
                      bool with_reasoning) const;

  std::string reasoning_, content_;
  std::string reasoning_key_ = "reasoning_content";  // the name that this server uses
  std::vector<Call> calls_;
  std::string finish_reason_, system_fingerprint_;
  std::optional<double> prefill_fraction_;
  ServerUsage usage_;
  bool closed_ = false;
};

// Why `text` cannot be a call's arguments, or empty when it is a JSON object of sane depth.
std::string arguments_problem(std::string_view text);

// What an error body says, in one line: {"error":{"message"}}, {"error":""}, {"detail":""} or text.
std::string server_message(std::string_view body);

}  // namespace corvid::runtime
