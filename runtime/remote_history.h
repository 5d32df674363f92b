// The messages of a remote conversation as the bytes that are sent.
//
// A message is printed when it is appended and never again; the text of a request only grows, so
// the server's prefix cache holds over any number of turns. Only reasoning can leave: each reply is
// kept with and without it, and the model's rule says which of the two is sent. io thread only.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/chat.h"
#include "runtime/chat_stream.h"
#include "runtime/dialogue.h"

namespace corvid::runtime {

class RemoteHistory {
 public:
  // What to send of earlier reasoning; the last two are for servers that insist.
  enum class Replay { by_rule, everything, nothing };

  explicit RemoteHistory(model::ReasoningRule rule) : rule_(rule) {}
  void set_rule(model::ReasoningRule rule) { rule_ = rule; }

  void append(const Entry& entry);
  // Appends the server's reply and gives its calls ids that are unique within the session.
  void append(ChatReply& reply);

  const std::string& tools() const { return tools_; }  // "" or a JSON array
  std::string messages(Replay replay) const;           // a JSON array
  bool sends_reasoning(Replay replay) const;
  bool has_dropped_reasoning() const;

 private:
  struct Message {
    std::string text;
    std::string without_reasoning;  // empty: the same
    bool is_settled = false;        // a later user message has come
  };
  const std::string& sent(const Message& message, Replay replay) const;
  void open(const Opening& opening);
  void restore(const Reply& reply);
  std::string unique_id(const std::string& id);

  model::ReasoningRule rule_;
  std::string tools_;
  std::vector<Message> messages_;
  std::set<std::string> ids_;                    // of all calls
  std::map<std::string, std::string> sent_ids_;  // ours to the server's, where they differ
};

// `message` without its reasoning; the same text when it has none or is no JSON object.
std::string without_reasoning(const std::string& message);

}  // namespace corvid::runtime
