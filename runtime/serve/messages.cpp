#include "runtime/serve/messages.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/text/messages.h"
#include "runtime/json_line.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;
using model::JsonField;
using model::Message;
using model::Role;
using model::Thinking;

// --- The answer. ---------------------------------------------------------------------------------

std::string_view stop_reason(FinishedReply::Finish finish) {
  switch (finish) {
    case FinishedReply::Finish::calls:
      return "tool_use";
    case FinishedReply::Finish::length:
      return "max_tokens";
    case FinishedReply::Finish::stop_text:
      return "stop_sequence";
    case FinishedReply::Finish::end:
      break;
  }
  return "end_turn";
}

Json usage_json(const ReplyUsage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.reply_tokens}};
}

Json stop_json(const FinishedReply& reply) {
  Json stop{{"stop_reason", stop_reason(reply.finish)}, {"stop_sequence", nullptr}};
  if (!reply.stop_text.empty()) stop["stop_sequence"] = reply.stop_text;
  return stop;
}

class Writer : public ReplyWriter {
 public:
  explicit Writer(std::string model) : model_(std::move(model)) {}

  std::string begin(const ReplyUsage& so_far) override {
    Json message = head();
    message["content"] = Json::array();
    message["stop_reason"] = nullptr;
    message["stop_sequence"] = nullptr;
    message["usage"] = usage_json(so_far);
    return event({{"type", "message_start"}, {"message", std::move(message)}});
  }

  std::string grow(const model::Delta& delta) override {
    std::string events;
    if (!delta.reasoning.empty()) {
      events += enter(Block::thinking);
      events += block_delta({{"type", "thinking_delta"}, {"thinking", delta.reasoning}});
    }
    if (!delta.content.empty()) {
      events += enter(Block::text);
      events += block_delta({{"type", "text_delta"}, {"text", delta.content}});
    }
    for (const model::CallPart& part : delta.calls) {
      if (!part.name.empty()) events += begin_call(part);
      if (part.arguments.empty()) continue;
      events += block_delta({{"type", "input_json_delta"}, {"partial_json", part.arguments}});
    }
    return events;
  }

  std::string end(const FinishedReply& reply) override {
    std::string events = enter(Block::none);
    events += event({{"type", "message_delta"},
                     {"delta", stop_json(reply)},
                     {"usage", usage_json(reply.usage)}});
    return events + event({{"type", "message_stop"}});
  }

  std::string fail(const ApiError& error) override {
    return sse("error", error_json(Dialect::anthropic, error));
  }

  std::string whole(const FinishedReply& reply) override {
    Json content = Json::array();
    if (!reply.reasoning.empty()) {
      content.push_back(
          {{"type", "thinking"}, {"thinking", reply.reasoning}, {"signature", signature_}});
    }
    if (!reply.content.empty()) content.push_back({{"type", "text"}, {"text", reply.content}});
    for (const model::ToolCall& call : reply.calls) {
      content.push_back({{"type", "tool_use"},
                         {"id", call.id},
                         {"name", call.name},
                         {"input", Json::parse(call.arguments)}});
    }
    Json message = head();
    message["content"] = std::move(content);
    message.update(stop_json(reply));
    message["usage"] = usage_json(reply.usage);
    return json_line(message);
  }

 private:
  enum class Block { none, thinking, text, call };

  Json head() const {
    return {{"id", id_}, {"type", "message"}, {"role", "assistant"}, {"model", model_}};
  }
  static std::string event(const Json& body) {
    return sse(body["type"].get<std::string>(), json_line(body));
  }
  std::string block_delta(Json delta) const {
    return event({{"type", "content_block_delta"}, {"index", index_}, {"delta", std::move(delta)}});
  }
  std::string start(Json block) const {
    return event(
        {{"type", "content_block_start"}, {"index", index_}, {"content_block", std::move(block)}});
  }
  std::string stop() { return event({{"type", "content_block_stop"}, {"index", index_++}}); }
  // Ends the block that is open and begins this one, unless it is the same.
  std::string enter(Block block) {
    if (block == open_) return {};
    std::string events;
    if (open_ == Block::thinking) {
      events += block_delta({{"type", "signature_delta"}, {"signature", signature_}});
    }
    if (open_ != Block::none) events += stop();
    open_ = block;
    if (block == Block::thinking) {
      events += start({{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
    }
    if (block == Block::text) events += start({{"type", "text"}, {"text", ""}});
    return events;
  }

  std::string begin_call(const model::CallPart& part) {
    std::string events = enter(Block::none);
    open_ = Block::call;
    return events + start({{"type", "tool_use"},
                           {"id", part.id},
                           {"name", part.name},
                           {"input", Json::object()}});
  }

  const std::string id_ = random_id("msg_");
  const std::string signature_ = random_id("");  // of no meaning here; clients want one
  const std::string model_;
  Block open_ = Block::none;
  int index_ = 0;
};

// --- The request. --------------------------------------------------------------------------------

void add_paragraph(std::string& text, const std::string& more) {
  if (!text.empty() && !more.empty()) text += "\n\n";
  text += more;
}

// Of a result: a text, or a list of blocks; those that are no text have one in their place.
std::string read_result(const JsonField& content) {
  if (!content.is_array()) return content.text();
  std::string text;
  for (const JsonField& block : content.items()) {
    const std::string type = block.at("type").text();
    add_paragraph(text, type == "text" ? block.at("text").text() : model::stand_in(type));
  }
  return text;
}

// Without the line that only the vendor's own server reads, and that changes with every request.
std::string without_billing(std::string text) {
  if (!text.starts_with("x-anthropic-billing-header")) return text;
  const std::size_t rest = text.find_first_not_of('\n', std::min(text.find('\n'), text.size()));
  return text.erase(0, std::min(rest, text.size()));
}

std::string read_system(const JsonField& system) {
  if (!system.is_array()) return without_billing(system.text());
  std::string text;
  for (const JsonField& block : system.items()) {
    add_paragraph(text, without_billing(block.at("text").text()));
  }
  return text;
}

void read_user(const JsonField& content, std::vector<Message>& messages) {
  std::string text;
  Message* last_result = nullptr;
  std::vector<Message> results;
  if (!content.is_array()) {
    text = content.text();
  } else {
    for (const JsonField& block : content.items()) {
      const std::string type = block.at("type").text();
      if (type == "text") {
        add_paragraph(text, block.at("text").text());
      } else if (type == "tool_result") {
        Message result{.role = Role::tool, .call_id = block.at("tool_use_id").text()};
        if (const auto inner = block.find("content")) result.content = read_result(*inner);
        results.push_back(std::move(result));
      } else if (type == "image" || type == "document") {  // it comes with every later request
        add_paragraph(text, model::stand_in(type));
      } else {
        block.fail("blocks of type '" + type + "' cannot be read");
      }
    }
  }
  if (!results.empty()) last_result = &results.back();
  if (last_result) add_paragraph(last_result->content, text);
  for (Message& result : results) messages.push_back(std::move(result));
  if (!last_result) messages.push_back({.role = Role::user, .content = std::move(text)});
}

Message read_assistant(const JsonField& content) {
  Message message{.role = Role::assistant};
  if (!content.is_array()) {
    message.content = content.text();
    return message;
  }
  for (const JsonField& block : content.items()) {
    const std::string type = block.at("type").text();
    if (type == "text") {
      message.content += block.at("text").text();
    } else if (type == "thinking") {
      message.reasoning += block.at("thinking").text();
    } else if (type == "tool_use") {
      message.calls.push_back({block.at("id").text(), block.at("name").text(),
                               model::read_arguments(block.at("input"))});
    } else if (type != "redacted_thinking") {
      block.fail("blocks of type '" + type + "' cannot be read");
    }
  }
  return message;
}

std::vector<Message> message_list(const JsonField& body) {
  std::vector<Message> messages;
  if (const auto system = body.find("system")) {
    messages.push_back({.role = Role::system, .content = read_system(*system)});
  }
  for (const JsonField& message : read_items(body.at("messages"))) {
    const JsonField role = message.at("role");
    const auto content = message.find("content");  // null is no text
    if (role.text() == "user") {
      content ? read_user(*content, messages) : messages.push_back({.role = Role::user});
    } else if (role.text() == "assistant") {
      messages.push_back(content ? read_assistant(*content) : Message{.role = Role::assistant});
    } else if (role.text() == "system") {
      messages.push_back({.role = Role::system, .content = content ? read_system(*content) : ""});
    } else {
      role.fail("'" + role.text() + "' is neither user nor assistant");
    }
  }
  return messages;
}

// Tools that the vendor's server would run itself have no schema; nobody runs them here.
std::vector<model::ToolSpec> tool_list(const JsonField& tools) {
  std::vector<model::ToolSpec> specs;
  for (const JsonField& tool : tools.items()) {
    const auto schema = tool.find("input_schema");
    if (!schema) continue;
    specs.push_back(
        {tool.at("name").text(), tool.text_or("description", ""), model::read_schema(*schema)});
  }
  return specs;
}

void read_tool_choice(const JsonField& choice, ModelRequest& request) {
  const JsonField type = choice.at("type");
  if (type.text() == "none") {
    request.rule.calls = model::ReplyRule::Calls::none;
  } else if (type.text() == "any") {
    need_call(request, choice, "");
  } else if (type.text() == "tool") {
    need_call(request, choice, choice.at("name").text());
  } else if (type.text() != "auto") {
    type.fail("'" + type.text() + "' is none of auto, any, tool, none");
  }
  request.rule.one_call = choice.boolean_or("disable_parallel_tool_use", false);
}

void read_output_format(const JsonField& format, ModelRequest& request) {
  const JsonField type = format.at("type");
  if (type.text() != "json_schema") type.fail("'" + type.text() + "' is not json_schema");
  request.rule.content_schema = model::read_schema(format.at("schema"));
}

}  // namespace

ApiCall message_call(const JsonField& body, const std::string& model) {
  ApiCall call;
  ModelRequest& request = call.request;
  request.messages = message_list(body);
  check_results(request.messages, "messages");
  if (const auto tools = body.find("tools")) request.tools = tool_list(*tools);
  check_tools(request.tools, "tools");
  if (const auto choice = body.find("tool_choice")) read_tool_choice(*choice, request);
  read_sampling(body, request);
  if (const auto field = body.find("max_tokens")) request.max_tokens = read_max_tokens(*field);
  if (const auto stop = body.find("stop_sequences")) request.stop_texts = read_stop_texts(*stop);
  request.thinking = Thinking::off;  // unless it is asked for
  if (const auto thinking = body.find("thinking")) {
    if (is_thinking(*thinking)) request.thinking = Thinking::on;
    if (const auto budget = thinking->find("budget_tokens")) budget->integer(1, INT32_MAX);
  }
  if (const auto output = body.find("output_config")) {
    const auto effort = output->find("effort");
    if (effort && !is_effort(*effort)) request.thinking = Thinking::off;
    if (const auto format = output->find("format")) read_output_format(*format, request);
  }
  if (const auto format = body.find("output_format")) read_output_format(*format, request);
  call.writer = std::make_unique<Writer>(model);
  return call;
}

}  // namespace corvid::runtime
