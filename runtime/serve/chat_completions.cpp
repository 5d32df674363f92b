#include "runtime/serve/chat_completions.h"

#include <nlohmann/json.hpp>

#include "model/text/messages.h"
#include "runtime/json_line.h"
#include "runtime/serve/completion_writer.h"

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

Json call_json(const model::ToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

class Writer : public CompletionWriter {
 public:
  Writer(std::string model, const JsonField& body)
      : CompletionWriter("chatcmpl-", std::move(model), body) {}

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
    return chunk(Json::object(), finish_reason(reply.finish)) + end_of_stream(kChunk, reply.usage);
  }

  std::string whole(const FinishedReply& reply) override {
    Json message{{"role", "assistant"}, {"content", reply.content}};
    if (!reply.reasoning.empty()) message["reasoning_content"] = reply.reasoning;
    for (const model::ToolCall& call : reply.calls) {
      message["tool_calls"].push_back(call_json(call));
    }
    Json choice{{"index", 0},
                {"message", std::move(message)},
                {"logprobs", nullptr},
                {"finish_reason", finish_reason(reply.finish)}};
    return json_line(whole_answer("chat.completion", std::move(choice), reply.usage));
  }

 private:
  static constexpr std::string_view kChunk = "chat.completion.chunk";

  std::string chunk(Json delta, std::string_view finish = {}) const {
    Json choice{{"index", 0}, {"delta", std::move(delta)}, {"logprobs", nullptr}};
    choice["finish_reason"] = finish.empty() ? Json() : Json(finish);
    return sse("", json_line(answer(kChunk, std::move(choice))));
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
};

// The ways to say it, the plainest last: it is the one that holds.
Thinking read_thinking(const JsonField& body) {
  Thinking thinking = Thinking::on;
  const auto set = [&thinking](bool on) { thinking = on ? Thinking::on : Thinking::off; };
  if (const auto effort = body.find("reasoning_effort")) set(is_effort(*effort));
  if (const auto reasoning = body.find("reasoning")) {
    if (const auto effort = reasoning->find("effort")) set(is_effort(*effort));
    if (const auto enabled = reasoning->find("enabled")) set(enabled->boolean());
  }
  if (const auto arguments = body.find("chat_template_kwargs")) {
    for (const char* name : {"thinking", "enable_thinking"}) {
      if (const auto on = arguments->find(name)) set(on->boolean());
    }
  }
  if (const auto field = body.find("thinking")) {
    set(field->is_object() ? is_thinking(*field) : field->boolean());
  }
  return thinking;
}

std::string function_name(const JsonField& tool) {
  return tool.at("function").at("name").text();
}

void read_tool_choice(const JsonField& choice, ModelRequest& request) {
  if (!choice.is_text()) {
    if (const auto allowed = choice.find("allowed_tools")) {
      return read_allowed_tools(*allowed, request, function_name);
    }
    return need_call(request, choice, function_name(choice));
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
  const JsonField messages = body.at("messages");
  read_items(messages);
  request.messages = model::read_messages(messages);
  check_results(request.messages, "messages");
  if (const auto tools = body.find("tools")) request.tools = model::read_tools(*tools);
  check_tools(request.tools, "tools");
  if (const auto choice = body.find("tool_choice")) read_tool_choice(*choice, request);
  request.rule.one_call = !body.boolean_or("parallel_tool_calls", true);
  if (const auto format = body.find("response_format")) read_response_format(*format, request);
  read_sampling(body, request);
  request.thinking = read_thinking(body);
  // As llama-server has it; -1 is no limit.
  if (const auto field = body.find("n_predict"); field && field->json() != -1) {
    request.max_tokens = read_max_tokens(*field);
  }
  if (const auto field = body.find("max_tokens")) request.max_tokens = read_max_tokens(*field);
  if (const auto field = body.find("max_completion_tokens")) {
    request.max_tokens = read_max_tokens(*field);
  }
  if (const auto stop = body.find("stop")) request.stop_texts = read_stop_texts(*stop);
  if (const auto n = body.find("n")) n->integer(1, 1);
  if (body.boolean_or("logprobs", false)) body.at("logprobs").fail("not available here");
  call.writer = std::make_unique<Writer>(model, body);
  return call;
}

}  // namespace corvid::runtime
