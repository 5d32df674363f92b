#include "runtime/remote_history.h"

#include <nlohmann/json.hpp>

#include "model/text/json_text.h"

namespace corvid::runtime {
namespace {

std::string plain_message(std::string_view role, std::string_view content) {
  return R"({"role":")" + std::string(role) + R"(","content":)" + model::json_quote(content) + "}";
}

// A turn that another kind of model spoke (a session that was begun locally).
std::string message_of(const model::Turn& turn) {
  std::string text = R"({"role":"assistant","content":)" + model::json_quote(turn.content);
  if (!turn.reasoning.empty())
    text += ",\"reasoning_content\":" + model::json_quote(turn.reasoning);
  for (std::size_t i = 0; i < turn.calls.size(); ++i) {
    const model::ToolCall& call = turn.calls[i];
    text += i == 0 ? ",\"tool_calls\":[" : ",";
    text += "{\"id\":" + model::json_quote(call.id) +
            ",\"type\":\"function\",\"function\":{\"name\":" + model::json_quote(call.name) +
            ",\"arguments\":" + model::json_quote(call.arguments) + "}}";
  }
  return text + (turn.calls.empty() ? "}" : "]}");
}

}  // namespace

std::string without_reasoning(const std::string& message) {
  using Json = nlohmann::ordered_json;
  Json value = Json::parse(message, nullptr, false);
  if (value.is_discarded() || !value.is_object()) return message;
  if (value.erase("reasoning_content") + value.erase("reasoning") == 0) return message;
  return value.dump();
}

void RemoteHistory::append(const Entry& entry) {
  if (const auto* opening = std::get_if<Opening>(&entry)) return open(*opening);
  if (const auto* reply = std::get_if<Reply>(&entry)) return restore(*reply);
  if (const auto* user = std::get_if<UserText>(&entry)) {
    for (Message& message : messages_) message.is_settled = true;
    messages_.push_back({plain_message("user", user->text), {}});
    return;
  }
  for (const model::ToolResult& result : std::get<Results>(entry).results) {
    const auto id = sent_ids_.find(result.call_id);
    messages_.push_back(
        {R"({"role":"tool","tool_call_id":)" +
             model::json_quote(id == sent_ids_.end() ? result.call_id : id->second) +
             ",\"content\":" + model::json_quote(result.text) + "}",
         {}});
  }
}

void RemoteHistory::open(const Opening& opening) {
  if (!opening.system.empty()) messages_.push_back({plain_message("system", opening.system), {}});
  tools_.clear();
  for (const model::ToolSpec& tool : opening.tools) {
    tools_ += tools_.empty() ? "[" : ",";
    tools_ += R"({"type":"function","function":{"name":)" + model::json_quote(tool.name) +
              ",\"description\":" + model::json_quote(tool.description) +
              ",\"parameters\":" + (tool.parameters.empty() ? "{}" : tool.parameters) + "}}";
  }
  if (!tools_.empty()) tools_ += "]";
}

void RemoteHistory::restore(const Reply& reply) {
  const model::Turn& turn = reply.turn;
  const bool says_nothing = turn.content.empty() && turn.reasoning.empty() && turn.calls.empty();
  if (reply.verbatim.empty() && says_nothing) return;  // interrupted before the first token
  const std::string text = reply.verbatim.empty() ? message_of(turn) : reply.verbatim;
  const auto message = nlohmann::json::parse(text, nullptr, false);
  const bool has_calls = !message.is_discarded() && message.contains("tool_calls");
  for (std::size_t i = 0; i < turn.calls.size(); ++i) {
    const std::string& ours = turn.calls[i].id;
    ids_.insert(ours);
    if (!has_calls || i >= message["tool_calls"].size()) continue;
    const std::string theirs = message["tool_calls"][i].value("id", ours);
    if (theirs != ours) sent_ids_[ours] = theirs;
  }
  messages_.push_back({text, without_reasoning(text)});
}

void RemoteHistory::append(ChatReply& reply) {
  for (model::ToolCall& call : reply.turn.calls) {
    const std::string theirs = call.id;
    call.id = unique_id(theirs);
    if (call.id != theirs) sent_ids_[call.id] = theirs;
  }
  messages_.push_back({reply.message, reply.without_reasoning});
}

std::string RemoteHistory::unique_id(const std::string& id) {
  std::string ours = id;
  for (int i = 2; !ids_.insert(ours).second; ++i) ours = id + "#" + std::to_string(i);
  return ours;
}

const std::string& RemoteHistory::sent(const Message& message, Replay replay) const {
  const bool drops =
      replay == Replay::nothing ||
      (replay == Replay::by_rule && message.is_settled && rule_ != model::ReasoningRule::always);
  return drops && !message.without_reasoning.empty() ? message.without_reasoning : message.text;
}

std::string RemoteHistory::messages(Replay replay) const {
  std::string text = "[";
  for (const Message& message : messages_) {
    if (text.size() > 1) text += ",";
    text += sent(message, replay);
  }
  return text + "]";
}

bool RemoteHistory::sends_reasoning(Replay replay) const {
  for (const Message& message : messages_) {
    if (!message.without_reasoning.empty() && sent(message, replay) != message.without_reasoning) {
      return true;
    }
  }
  return false;
}

bool RemoteHistory::has_dropped_reasoning() const {
  for (const Message& message : messages_) {
    if (sent(message, Replay::by_rule) != message.text) return true;
  }
  return false;
}

}  // namespace corvid::runtime
