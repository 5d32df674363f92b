#include "model/text/messages.h"

#include "model/error.h"
#include "model/text/json_text.h"

namespace corvid::model {
namespace {

// Whether a part has a text in its place: any of a result, and what a user attaches.
bool has_stand_in(std::string_view type, Role role) {
  return role == Role::tool ||
         (role == Role::user && (type == "image_url" || type == "input_audio" || type == "file"));
}

// A string, or a list of parts.
std::string read_content(const JsonField& message, Role role) {
  const auto content = message.find("content");
  if (!content) return {};
  if (!content->is_array()) return content->text();
  std::string text;
  for (const JsonField& part : content->items()) {
    const std::string type = part.at("type").text();
    if (type == "text") {
      text += part.at("text").text();
    } else if (has_stand_in(type, role)) {
      text += stand_in(type);
    } else {
      part.fail("only parts of type 'text' can be read");
    }
  }
  return text;
}

ToolCall read_call(const JsonField& call) {
  const JsonField function = call.at("function");
  ToolCall out{call.text_or("id", ""), function.at("name").text(), "{}"};
  if (const auto arguments = function.find("arguments")) out.arguments = read_arguments(*arguments);
  return out;
}

Message read_message(const JsonField& message) {
  Message out;
  const JsonField role = message.at("role");
  const std::string name = role.text();
  if (name == "system" || name == "developer") {
    out.role = Role::system;
  } else if (name == "user") {
    out.role = Role::user;
  } else if (name == "assistant") {
    out.role = Role::assistant;
    out.reasoning = message.text_or("reasoning_content", message.text_or("reasoning", ""));
    if (const auto calls = message.find("tool_calls")) {
      for (const JsonField& call : calls->items()) out.calls.push_back(read_call(call));
    }
  } else if (name == "tool") {
    out.role = Role::tool;
    out.call_id = message.text_or("tool_call_id", "");
  } else {
    role.fail("'" + name + "' is none of system, user, assistant, tool");
  }
  out.content = read_content(message, out.role);
  return out;
}

ToolSpec read_tool(const JsonField& tool) {
  const JsonField function = tool.at("function");
  ToolSpec out{function.at("name").text(), function.text_or("description", ""), "{}"};
  if (const auto parameters = function.find("parameters")) {
    out.parameters = read_schema(*parameters);
  }
  return out;
}

}  // namespace

std::string read_arguments(const JsonField& arguments) {
  std::string text = arguments.is_text() ? arguments.text() : arguments.print();
  if (text.empty()) return "{}";
  try {
    text = print_json(text);
    json_members(text);
  } catch (const ModelError& error) {
    arguments.fail(error.what());
  }
  return text;
}

std::string read_schema(const JsonField& schema) {
  if (!schema.is_object()) schema.fail("not an object");
  return schema.print();
}

std::string stand_in(std::string_view type) {
  return "[" + std::string(type) + ": this model reads text only]";
}

std::vector<Message> read_messages(const JsonField& messages) {
  std::vector<Message> out;
  for (const JsonField& message : messages.items()) out.push_back(read_message(message));
  return out;
}

std::vector<ToolSpec> read_tools(const JsonField& tools) {
  std::vector<ToolSpec> out;
  for (const JsonField& tool : tools.items()) out.push_back(read_tool(tool));
  return out;
}

Conversation read_conversation(std::string_view json) {
  const JsonDocument document(json, "the conversation");
  const JsonField root = document.root();
  Conversation out;
  out.messages = read_messages(root.at("messages"));
  if (const auto tools = root.find("tools")) out.tools = read_tools(*tools);
  if (!root.boolean_or("thinking", true)) out.thinking = Thinking::off;
  return out;
}

}  // namespace corvid::model
