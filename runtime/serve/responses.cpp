#include "runtime/serve/responses.h"

#include "model/text/json_stream.h"
#include "model/text/json_text.h"
#include "runtime/json_line.h"
#include "runtime/serve/responses_request.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;

Json usage_json(const ReplyUsage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.reply_tokens},
          {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.reply_tokens}};
}

// The text that a custom tool is called with.
std::string custom_input(const std::string& arguments) {
  for (const model::JsonMember& member : model::json_members(arguments)) {
    if (member.value.starts_with('"')) return model::json_unquote(member.value);
  }
  return arguments;
}

// The first `told` bytes of a custom tool's arguments have been told: the text of what is whole of
// the rest. Such arguments are one member, and printed by us.
std::string next_input(std::string_view arguments, std::size_t& told) {
  constexpr std::string_view kOpens = "{\"input\": \"";
  if (!arguments.starts_with(kOpens)) return {};
  told = std::max(told, kOpens.size());
  const std::string_view inside =
      arguments.substr(told, model::whole_characters(arguments.substr(told)));
  told += inside.size();
  return model::json_unquote("\"" + std::string(inside) + "\"");
}

// A whole answer goes through the same events as a stream; only its end is told.
class Writer : public ReplyWriter {
 public:
  Writer(std::string model, ResponsesRequest request)
      : model_(std::move(model)),
        tools_(std::move(request.tools)),
        encrypted_(request.wants_encrypted_reasoning),
        echo_(std::move(request.echo)) {}

  std::string begin(const ReplyUsage&) override {
    std::string events = event("response.created", {{"response", response("in_progress")}});
    events += event("response.in_progress", {{"response", response("in_progress")}});
    return events;
  }

  std::string grow(const model::Delta& delta) override {
    std::string events;
    if (!delta.reasoning.empty()) {
      events += enter(Open::reasoning);
      events += text_event("response.reasoning_text.delta", "delta", delta.reasoning);
      text_ += delta.reasoning;
    }
    if (!delta.content.empty()) {
      events += enter(Open::message);
      events += text_event("response.output_text.delta", "delta", delta.content);
      text_ += delta.content;
    }
    for (const model::CallPart& part : delta.calls) {
      if (!part.name.empty()) events += begin_call(part);
      text_ += part.arguments;
      if (part.arguments.empty()) continue;
      if (open_ == Open::custom_call) events += tell_input(next_input(text_, told_));
      if (open_ != Open::call) continue;
      events += item_event("response.function_call_arguments.delta", {{"delta", part.arguments}});
    }
    return events;
  }

  std::string end(const FinishedReply& reply) override {
    const bool cut = reply.finish == FinishedReply::Finish::length;
    std::string events = enter(Open::none, cut ? "incomplete" : "completed");
    usage_ = usage_json(reply.usage);
    const std::string status = cut ? "incomplete" : "completed";
    if (cut) incomplete_ = {{"reason", "max_output_tokens"}};
    if (!cut) completed_at_ = seconds_since_epoch();
    return events + event("response." + status, {{"response", response(status)}});
  }

  std::string fail(const ApiError& error) override {
    std::string events = sequence_ == 0 ? begin({}) : "";  // clients want to know what failed
    error_ = {{"code", error.status() < 500 ? "invalid_prompt" : "server_error"},
              {"message", error.what()}};
    return events + event("response.failed", {{"response", response("failed")}});
  }

  std::string whole(const FinishedReply& reply) override {
    grow({.reasoning = reply.reasoning});
    grow({.content = reply.content});
    for (const model::ToolCall& call : reply.calls) {
      grow({.calls = {{0, call.id, call.name, call.arguments}}});
    }
    end(reply);
    const bool cut = reply.finish == FinishedReply::Finish::length;
    return json_line(response(cut ? "incomplete" : "completed"));
  }

 private:
  enum class Open { none, reasoning, message, call, custom_call };

  Json response(std::string_view status) const {
    Json body{{"id", id_},
              {"object", "response"},
              {"created_at", created_at_},
              {"completed_at", completed_at_},
              {"status", status},
              {"error", error_},
              {"incomplete_details", incomplete_},
              {"model", model_},
              {"output", output_},
              {"usage", usage_},
              {"background", false},
              {"max_tool_calls", nullptr},
              {"prompt_cache_key", nullptr},
              {"safety_identifier", nullptr},
              {"store", false},
              {"top_logprobs", 0}};
    body.update(echo_);
    return body;
  }

  std::string event(const std::string& type, const Json& fields) {
    Json body{{"type", type}, {"sequence_number", sequence_++}};
    body.update(fields);
    return sse(type, json_line(body));
  }
  std::string item_event(const std::string& type, Json fields) {
    Json body{{"item_id", item_["id"]}, {"output_index", output_.size()}};
    body.update(fields);
    return event(type, body);
  }
  std::string text_event(const std::string& type, const char* key, const std::string& text) {
    Json fields{{"content_index", 0}, {key, text}};
    if (open_ == Open::message) fields["logprobs"] = Json::array();
    return item_event(type, std::move(fields));
  }
  Json part(const std::string& text) const {
    if (open_ == Open::reasoning) return {{"type", "reasoning_text"}, {"text", text}};
    return {{"type", "output_text"},
            {"text", text},
            {"annotations", Json::array()},
            {"logprobs", Json::array()}};
  }

  std::string begin_item(Json item) {
    item_ = std::move(item);
    return event("response.output_item.added", {{"output_index", output_.size()}, {"item", item_}});
  }
  std::string end_item(std::string_view status) {
    item_["status"] = status;
    std::string done =
        event("response.output_item.done", {{"output_index", output_.size()}, {"item", item_}});
    output_.push_back(std::move(item_));
    return done;
  }

  // Ends the item that is open and begins one of this kind, unless it is the same.
  std::string enter(Open open, std::string_view status = "completed") {
    if (open == open_) return {};
    std::string events;
    if (open_ == Open::call || open_ == Open::custom_call) {
      events += end_call(status);
    } else if (open_ != Open::none) {
      events += end_text_item(status);
    }
    open_ = open;
    text_.clear();
    if (open == Open::none) return events;
    Json item{{"id", random_id("msg_")},
              {"type", "message"},
              {"status", "in_progress"},
              {"role", "assistant"},
              {"content", Json::array()}};
    if (open == Open::reasoning) {
      item = {{"id", random_id("rs_")},
              {"type", "reasoning"},
              {"status", "in_progress"},
              {"summary", Json::array()},
              {"content", Json::array()}};
      if (encrypted_) item["encrypted_content"] = item["id"];  // opaque: nothing is in it
    }
    events += begin_item(std::move(item));
    return events +
           item_event("response.content_part.added", {{"content_index", 0}, {"part", part("")}});
  }

  std::string end_text_item(std::string_view status) {
    const std::string done =
        open_ == Open::reasoning ? "response.reasoning_text.done" : "response.output_text.done";
    std::string events = text_event(done, "text", text_);
    events +=
        item_event("response.content_part.done", {{"content_index", 0}, {"part", part(text_)}});
    item_["content"] = Json::array({part(text_)});
    return events + end_item(status);
  }

  std::string begin_call(const model::CallPart& part) {
    std::string events = enter(Open::none);
    const auto found = tools_.find(part.name);
    const ClientTool tool =
        found == tools_.end() ? ClientTool{part.name, "", false} : found->second;
    open_ = tool.custom ? Open::custom_call : Open::call;
    told_ = 0;
    Json item{{"id", random_id(tool.custom ? "ctc_" : "fc_")},
              {"type", tool.custom ? "custom_tool_call" : "function_call"},
              {"status", "in_progress"},
              {"call_id", part.id},
              {"name", tool.name},
              {tool.custom ? "input" : "arguments", ""}};
    if (!tool.name_space.empty()) item["namespace"] = tool.name_space;
    return events + begin_item(std::move(item));
  }

  std::string end_call(std::string_view status) {
    if (open_ == Open::custom_call) return end_custom_call(status);
    item_["arguments"] = text_;
    const Json done{{"arguments", text_}, {"name", item_["name"]}};
    std::string events = item_event("response.function_call_arguments.done", done);
    return events + end_item(status);
  }
  std::string end_custom_call(std::string_view status) {
    std::string events;
    if (status == "completed") {
      const std::string whole = custom_input(text_);
      const std::string& told = item_["input"].get_ref<const std::string&>();
      if (whole.starts_with(told)) events = tell_input(whole.substr(told.size()));
    }
    const Json done{{"input", item_["input"]}};
    events += item_event("response.custom_tool_call_input.done", done);
    return events + end_item(status);
  }
  std::string tell_input(const std::string& more) {
    if (more.empty()) return {};
    item_["input"].get_ref<std::string&>() += more;
    return item_event("response.custom_tool_call_input.delta", {{"delta", more}});
  }

  const std::string id_ = random_id("resp_");
  const std::int64_t created_at_ = seconds_since_epoch();
  const std::string model_;
  const ClientTools tools_;
  const bool encrypted_;
  const Json echo_;

  int sequence_ = 0;
  Json output_ = Json::array();
  Json item_;  // that is open
  Open open_ = Open::none;
  std::string text_;      // of the open item
  std::size_t told_ = 0;  // of a custom call's text
  Json usage_, error_, incomplete_, completed_at_;
};

}  // namespace

ApiCall response_call(const model::JsonField& body, const std::string& model) {
  ResponsesRequest request = read_responses_request(body);
  ApiCall call{std::move(request.request), nullptr};
  call.writer = std::make_unique<Writer>(model, std::move(request));
  return call;
}

}  // namespace corvid::runtime
