#include "runtime/chat_stream.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "model/text/json_text.h"
#include "model/text/utf8.h"
#include "runtime/error.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDepthLimit = 64;
constexpr std::size_t kCallLimit = 128;  // of one reply

// Depth is checked before parsing: printing a deep value would recurse as deep.
bool is_too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDepthLimit) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

std::string excerpt(std::string_view text, std::size_t limit_bytes = 200) {
  std::string line;
  for (char c : text.substr(0, limit_bytes)) line += c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
  if (text.size() > limit_bytes) line += "...";
  return line;
}

Json parsed(std::string_view text) {
  Json value(Json::value_t::discarded);
  if (!is_too_deep(text)) {
    value = Json::parse(model::clean_utf8(text), nullptr, /*allow_exceptions=*/false);
  }
  if (value.is_discarded() || !value.is_object()) {
    throw RuntimeError("The server's stream cannot be read: not a JSON object: " + excerpt(text),
                       kModelError);
  }
  return value;
}

const Json* member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

// A string, or the text of an array of parts; empty when absent.
std::string text_of(const Json& object, const char* key) {
  const Json* value = member(object, key);
  if (!value) return {};
  if (value->is_string()) return value->get<std::string>();
  std::string text;
  if (value->is_array()) {
    for (const Json& part : *value) text += text_of(part, "text");
  }
  return text;
}

int count_of(const Json& object, const char* key) {
  const Json* value = member(object, key);
  if (!value || !value->is_number()) return -1;
  const double count = value->get<double>();
  return count >= 0 && count < 2e9 ? static_cast<int>(count) : -1;
}

ServerUsage usage_of(const Json& usage) {
  ServerUsage counted{count_of(usage, "prompt_tokens"), count_of(usage, "prompt_cache_hit_tokens"),
                      count_of(usage, "completion_tokens")};
  if (const Json* details = member(usage, "prompt_tokens_details")) {
    if (const int cached = count_of(*details, "cached_tokens"); cached >= 0) {
      counted.cached_tokens = cached;
    }
  }
  return counted;
}

[[noreturn]] void throw_server_error(const Json& payload) {
  throw RuntimeError("The server broke off: " + server_message(payload.dump()), kModelError);
}

}  // namespace

model::Delta ChatStream::add(std::string_view payload) {
  model::Delta delta;
  if (payload == "[DONE]") {
    closed_ = true;
    return delta;
  }
  const Json chunk = parsed(payload);
  if (member(chunk, "error")) throw_server_error(chunk);
  if (const Json* usage = member(chunk, "usage")) usage_ = usage_of(*usage);
  if (const Json* progress = member(chunk, "prompt_progress")) {
    const int total = count_of(*progress, "total"), done = count_of(*progress, "processed");
    if (total > 0 && done >= 0 && done <= total) prefill_fraction_ = double(done) / total;
  }
  if (system_fingerprint_.empty()) system_fingerprint_ = text_of(chunk, "system_fingerprint");
  const Json* choices = member(chunk, "choices");
  if (!choices || !choices->is_array() || choices->empty()) return delta;
  const Json& choice = choices->front();
  if (std::string why = text_of(choice, "finish_reason"); !why.empty()) finish_reason_ = why;
  const Json* grown = member(choice, "delta");
  if (!grown) grown = member(choice, "message");
  if (!grown || !grown->is_object()) return delta;

  for (const char* key : {"reasoning_content", "reasoning"}) {
    delta.reasoning = text_of(*grown, key);
    if (delta.reasoning.empty()) continue;
    reasoning_key_ = key;
    break;
  }
  delta.content = text_of(*grown, "content") + text_of(*grown, "refusal");
  reasoning_ += delta.reasoning;
  content_ += delta.content;
  if (const Json* calls = member(*grown, "tool_calls"); calls && calls->is_array()) {
    for (const Json& part : *calls) {
      const Json* function = member(part, "function");
      if (!function) continue;
      const std::string name = text_of(*function, "name");
      Call& call = call_at(count_of(part, "index"), text_of(part, "id"), !name.empty());
      if (call.name.empty()) {
        call.name = name;
        delta.call_text += name;
      }
      const Json* arguments = member(*function, "arguments");
      if (!arguments) continue;
      const std::string text =
          arguments->is_string() ? arguments->get<std::string>() : arguments->dump();
      call.arguments += text;
      delta.call_text += text;
    }
  }
  return delta;
}

// Fragments belong together by index; servers without an index start a call with its id or name.
ChatStream::Call& ChatStream::call_at(int index, const std::string& id, bool names_tool) {
  Call* found = nullptr;
  if (index >= 0) {
    for (Call& call : calls_) {
      if (call.index == index) found = &call;  // the latest, where a server reuses an index
    }
    if (found && names_tool && !id.empty() && !found->id.empty() && id != found->id) {
      found = nullptr;
    }
  } else if (!calls_.empty()) {
    const bool starts = (!id.empty() && id != calls_.back().id) || (id.empty() && names_tool);
    if (!starts) found = &calls_.back();
  }
  if (!found) {
    if (calls_.size() >= kCallLimit) {
      throw RuntimeError("The reply has more than " + std::to_string(kCallLimit) + " calls.",
                         kModelError);
    }
    calls_.push_back({index, id, {}, {}});
    found = &calls_.back();
  }
  if (found->id.empty()) found->id = id;
  return *found;
}

model::Stop ChatStream::stop() const {
  if (finish_reason_ == "length") return model::Stop::length;
  if (finish_reason_ == "content_filter") return model::Stop::malformed;
  if (finish_reason_ == "insufficient_system_resource" || finish_reason_ == "abort" ||
      finish_reason_ == "error") {
    throw RuntimeError("The server broke off the reply (" + finish_reason_ + ").", kModelError);
  }
  if (!calls_.empty()) return model::Stop::calls;
  if (finish_reason_.empty() && reasoning_.empty() && content_.empty()) {
    throw RuntimeError("The server ended its reply without saying anything.", kModelError);
  }
  return model::Stop::end;
}

ChatReply ChatStream::finish(std::optional<model::Stop> cut) const {
  ChatReply reply;
  reply.usage = usage_;
  reply.has_reasoning = !reasoning_.empty();
  model::Turn& turn = reply.turn;
  turn.stop = cut ? *cut : stop();
  turn.reasoning = reasoning_;
  turn.content = content_;
  std::vector<Call> sent_back;
  if (turn.stop == model::Stop::calls) {
    sent_back = calls_;
    for (std::size_t i = 0; i < sent_back.size(); ++i) {
      Call& call = sent_back[i];
      if (call.id.empty()) call.id = "call_" + std::to_string(i);
      if (call.arguments.empty()) call.arguments = "{}";  // a call without arguments
      std::string problem =
          call.name.empty() ? "the call names no tool" : arguments_problem(call.arguments);
      if (!problem.empty()) {
        // Servers parse the arguments of earlier calls, and fail on what is no JSON.
        call.arguments = "{\"malformed_arguments\": " + model::json_quote(call.arguments) + "}";
      }
      turn.calls.push_back({call.id, call.name, call.arguments, std::move(problem)});
    }
  } else if (!calls_.empty()) {
    turn.problem = "the call of " + calls_.back().name + " was cut off";
  }
  if (finish_reason_ == "content_filter") turn.problem = "the provider's filter ended it.";
  // Servers refuse an assistant message that says nothing.
  const bool is_empty = turn.stop == model::Stop::interrupted && content_.empty();
  const std::string content = is_empty ? "(interrupted)" : content_;
  reply.message = message(content, sent_back, true);
  reply.without_reasoning = reply.has_reasoning ? message(content, sent_back, false) : "";
  return reply;
}

std::string ChatStream::message(const std::string& content, const std::vector<Call>& calls,
                                bool with_reasoning) const {
  std::string text = R"({"role":"assistant","content":)" + model::json_quote(content);
  if (with_reasoning && !reasoning_.empty()) {
    text += ",\"" + reasoning_key_ + "\":" + model::json_quote(reasoning_);
  }
  for (std::size_t i = 0; i < calls.size(); ++i) {
    text += i == 0 ? ",\"tool_calls\":[" : ",";
    text += "{\"id\":" + model::json_quote(calls[i].id) +
            ",\"type\":\"function\",\"function\":{\"name\":" + model::json_quote(calls[i].name) +
            ",\"arguments\":" + model::json_quote(calls[i].arguments) + "}}";
  }
  return text + (calls.empty() ? "}" : "]}");
}

std::string arguments_problem(std::string_view text) {
  if (is_too_deep(text)) return "the arguments are nested too deeply";
  try {
    if (Json::parse(text).is_object()) return {};
    return "the arguments are not a JSON object: " + excerpt(text);
  } catch (const Json::exception& failed) {
    const std::string_view what = failed.what();
    const std::size_t start = what.find("] ");
    return "the arguments are not valid JSON: " +
           std::string(start == std::string_view::npos ? what : what.substr(start + 2));
  }
}

std::string server_message(std::string_view body) {
  const Json value = is_too_deep(body) ? Json() : Json::parse(body, nullptr, false);
  std::string text;
  if (!value.is_discarded() && value.is_object()) {
    if (const Json* error = member(value, "error")) {
      text = error->is_object() ? text_of(*error, "message") : text_of(value, "error");
    }
    for (const char* key : {"message", "detail"}) {
      if (text.empty()) text = text_of(value, key);
    }
  }
  return excerpt(text.empty() ? body : std::string_view(text), 500);
}

}  // namespace corvid::runtime
