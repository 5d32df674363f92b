#include "runtime/serve/chat_completions.h"

#include <nlohmann/json.hpp>

#include "model/text/messages.h"
#include "runtime/json_line.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;
using model::JsonField;
using model::Thinking;

std::string_view finish_reason(FinishedReply::Finish finish) {
  switch (finish) {
    case FinishedReply::Finish::calls:
      return "tool_calls";
    case FinishedReply::Finish::length:
      return "length";
    default:
      return "stop";
  }
}

Json usage_json(const ReplyUsage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.reply_tokens},
          {"total_tokens", usage.prompt_tokens + usage.reply_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"prompt_cache_hit_tokens", usage.cached_tokens},
          {"prompt_cache_miss_tokens", usage.prompt_tokens - usage.cached_tokens}};
}

Json call_json(const model::ToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

class Writer : public ReplyWriter {
 public:
  Writer(std::string model, bool include_usage)
      : model_(std::move(model)), include_usage_(include_usage) {}

  std::string begin(const ReplyUsage&) override {
    return chunk({{"role", "assistant"}, {"content", ""}});
  }

  std::string grow(const model::Delta& delta) override {
    std::string events;
    if (!delta.reasoning.empty()) events += chunk({{"reasoning_content", delta.reasoning}});
    if (!delta.content.empty()) events += chunk({{"content", delta.content}});
    for (const model::CallPart& part : delta.calls) events += call_chunk(part);
    return events;
  }

  std::string end(const FinishedReply& reply) override {
    std::string events = chunk(Json::object(), finish_reason(reply.finish));
    if (include_usage_) {
      Json last = head("chat.completion.chunk");
      last["choices"] = Json::array();
      last["usage"] = usage_json(reply.usage);
      events += sse("", json_line(last));
    }
    return events + sse("", "[DONE]");
  }

  std::string fail(const ApiError& error) override {
    return sse("", error_json(Dialect::openai, error));
  }

  std::string whole(const FinishedReply& reply) override {
    Json message{{"role", "assistant"}, {"content", reply.content}};
    if (!reply.reasoning.empty()) message["reasoning_content"] = reply.reasoning;
    for (const model::ToolCall& call : reply.calls) {
      message["tool_calls"].push_back(call_json(call));
    }
    Json body = head("chat.completion");
    body["choices"] = Json::array({Json{{"index", 0},
                                        {"message", std::move(message)},
                                        {"logprobs", nullptr},
                                        {"finish_reason", finish_reason(reply.finish)}}});
    body["usage"] = usage_json(reply.usage);
    return json_line(body);
  }

 private:
  Json head(std::string_view object) const {
    return {{"id", id_}, {"object", object}, {"created", created_}, {"model", model_}};
  }
  std::string chunk(Json delta, std::string_view finish = {}) const {
    Json body = head("chat.completion.chunk");
    Json choice{{"index", 0}, {"delta", std::move(delta)}, {"logprobs", nullptr}};
    choice["finish_reason"] = finish.empty() ? Json() : Json(finish);
    body["choices"] = Json::array({std::move(choice)});
    return sse("", json_line(body));
  }
  // The first chunk of a call names it.
  std::string call_chunk(const model::CallPart& part) const {
    Json call{{"index", part.call}};
    if (part.name.empty()) {
      call["function"]["arguments"] = part.arguments;
    } else {
      call.update(call_json({part.id, part.name, part.arguments}));
    }
    return chunk({{"tool_calls", Json::array({std::move(call)})}});
  }

  const std::string id_ = random_id("chatcmpl-");
  const std::int64_t created_ = seconds_since_epoch();
  const std::string model_;
  const bool include_usage_;
};

// The ways to say it, the plainest last: it is the one that holds.
Thinking read_thinking(const JsonField& body) {
  Thinking thinking = Thinking::on;
  const auto set = [&thinking](bool on) { thinking = on ? Thinking::on : Thinking::off; };
  if (const auto effort = body.find("reasoning_effort")) set(effort->text() != "none");
  if (const auto reasoning = body.find("reasoning")) {
    if (const auto effort = reasoning->find("effort")) set(effort->text() != "none");
    if (const auto enabled = reasoning->find("enabled")) set(enabled->boolean());
  }
  if (const auto arguments = body.find("chat_template_kwargs")) {
    for (const char* name : {"thinking", "enable_thinking"}) {
      if (const auto on = arguments->find(name)) set(on->boolean());
    }
  }
  if (const auto field = body.find("thinking")) {
    set(field->is_object() ? field->at("type").text() != "disabled" : field->boolean());
  }
  return thinking;
}

void read_tool_choice(const JsonField& choice, ModelRequest& request) {
  if (!choice.is_text()) {
    return need_call(request, choice, choice.at("function").at("name").text());
  }
  read_tool_choice_word(choice, request);
}

void read_response_format(const JsonField& format, ModelRequest& request) {
  const JsonField type = format.at("type");
  if (type.text() == "json_schema") {
    request.rule.content_schema = model::read_schema(format.at("json_schema").at("schema"));
  } else if (type.text() == "json_object") {
    const auto schema = format.find("schema");  // as llama-server has it
    request.rule.content_schema = schema ? model::read_schema(*schema) : R"({"type": "object"})";
  } else if (type.text() != "text") {
    type.fail("'" + type.text() + "' is none of text, json_object, json_schema");
  }
}

}  // namespace

ApiCall chat_completion(const JsonField& body, const std::string& model) {
  ApiCall call;
  ModelRequest& request = call.request;
  request.messages = model::read_messages(body.at("messages"));
  if (const auto tools = body.find("tools")) request.tools = model::read_tools(*tools);
  check_tools(request.tools, "tools");
  if (const auto choice = body.find("tool_choice")) read_tool_choice(*choice, request);
  if (const auto format = body.find("response_format")) read_response_format(*format, request);
  read_sampling(body, request);
  request.thinking = read_thinking(body);
  if (const auto field = body.find("max_tokens")) request.max_tokens = read_max_tokens(*field);
  if (const auto field = body.find("max_completion_tokens")) {
    request.max_tokens = read_max_tokens(*field);
  }
  if (const auto stop = body.find("stop")) request.stop_texts = read_stop_texts(*stop);
  if (const auto n = body.find("n")) n->integer(1, 1);
  if (body.boolean_or("logprobs", false)) body.at("logprobs").fail("not available here");
  bool include_usage = false;
  if (const auto options = body.find("stream_options")) {
    include_usage = options->boolean_or("include_usage", false);
  }
  call.writer = std::make_unique<Writer>(model, include_usage);
  return call;
}

}  // namespace corvid::runtime
