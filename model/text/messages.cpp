#include "model/text/messages.h"

#include <nlohmann/json.hpp>

#include "model/error.h"
#include "model/text/json_text.h"

namespace corvid::model {
namespace {

using Json = nlohmann::ordered_json;

// A value with the path that leads to it, for messages such as "messages[2].role: ...".
struct Place {
  const Json& json;
  std::string path;

  [[noreturn]] void fail(const std::string& problem) const {
    throw ModelError((path.empty() ? "the conversation" : path) + ": " + problem);
  }
  bool has(const char* key) const {
    if (!json.is_object()) fail("not an object");
    return json.contains(key) && !json[key].is_null();
  }
  Place at(const char* key) const {
    if (!has(key)) fail("'" + std::string(key) + "' is missing");
    return {json[key], path.empty() ? key : path + "." + key};
  }
  std::string text() const {
    if (!json.is_string()) fail("not a string");
    return json.get<std::string>();
  }
  std::string text_or_empty(const char* key) const { return has(key) ? at(key).text() : ""; }
  template <typename Each>
  void for_each(Each each) const {
    if (!json.is_array()) fail("not an array");
    for (std::size_t i = 0; i < json.size(); ++i) {
      each(Place{json[i], path + "[" + std::to_string(i) + "]"});
    }
  }
};

// A string, or a list of parts of type text.
std::string read_content(const Place& message) {
  if (!message.has("content")) return {};
  const Place content = message.at("content");
  if (!content.json.is_array()) return content.text();
  std::string text;
  content.for_each([&text](const Place& part) {
    if (part.at("type").text() != "text") part.fail("only parts of type 'text' can be read");
    text += part.at("text").text();
  });
  return text;
}

ToolCall read_call(const Place& call) {
  const Place function = call.at("function");
  ToolCall out{call.text_or_empty("id"), function.at("name").text(), "{}"};
  if (!function.has("arguments")) return out;
  const Place arguments = function.at("arguments");
  out.arguments = arguments.json.is_string() ? arguments.text() : arguments.json.dump();
  if (out.arguments.empty()) out.arguments = "{}";
  try {
    out.arguments = print_json(out.arguments);
    json_members(out.arguments);
  } catch (const ModelError& error) {
    arguments.fail(error.what());
  }
  return out;
}

Message read_message(const Place& message) {
  Message out;
  const Place role = message.at("role");
  const std::string name = role.text();
  if (name == "system" || name == "developer") {
    out.role = Role::system;
  } else if (name == "user") {
    out.role = Role::user;
  } else if (name == "assistant") {
    out.role = Role::assistant;
    out.reasoning = message.text_or_empty("reasoning_content");
    if (message.has("tool_calls")) {
      message.at("tool_calls").for_each([&out](const Place& call) {
        out.calls.push_back(read_call(call));
      });
    }
  } else if (name == "tool") {
    out.role = Role::tool;
    out.call_id = message.text_or_empty("tool_call_id");
  } else {
    role.fail("'" + name + "' is none of system, user, assistant, tool");
  }
  out.content = read_content(message);
  return out;
}

ToolSpec read_tool(const Place& tool) {
  const Place function = tool.at("function");
  ToolSpec out{function.at("name").text(), function.text_or_empty("description"), "{}"};
  if (function.has("parameters")) {
    const Place parameters = function.at("parameters");
    if (!parameters.json.is_object()) parameters.fail("not an object");
    out.parameters = print_json(parameters.json.dump());
  }
  return out;
}

}  // namespace

Conversation read_conversation(std::string_view json) {
  // Deeper nesting is never meant, and trees are walked recursively.
  constexpr int kMaxDepth = 200;
  const auto limit_depth = [](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) throw ModelError("the JSON is nested too deeply");
    return true;
  };
  Json parsed;
  try {
    parsed = Json::parse(json, limit_depth);
  } catch (const Json::exception& error) {
    throw ModelError(std::string("this is not JSON: ") + error.what());
  }
  const Place root{parsed, ""};
  Conversation out;
  root.at("messages").for_each([&out](const Place& message) {
    out.messages.push_back(read_message(message));
  });
  if (root.has("tools")) {
    root.at("tools").for_each([&out](const Place& tool) { out.tools.push_back(read_tool(tool)); });
  }
  if (root.has("thinking")) {
    const Place thinking = root.at("thinking");
    if (!thinking.json.is_boolean()) thinking.fail("not true or false");
    out.thinking = thinking.json.get<bool>() ? Thinking::on : Thinking::off;
  }
  return out;
}

}  // namespace corvid::model
