#include "runtime/serve/responses_request.h"

#include "model/text/json_text.h"
#include "model/text/messages.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;
using model::JsonField;
using model::Message;
using model::Role;

constexpr const char* kCustomArgument = "input";

std::string custom_arguments(const std::string& input) {
  return "{\"" + std::string(kCustomArgument) + "\": " + model::json_quote(input) + "}";
}

bool is_attachment(std::string_view type) {
  return type == "input_image" || type == "input_file" || type == "input_audio";
}

// A text, or a list of parts that have one; in a result, others have a text in their place, and so
// have the attachments of what a user says.
enum class From { result, user, others };
std::string read_text(const JsonField& content, From from = From::others) {
  if (!content.is_array()) return content.text();
  std::string text;
  for (const JsonField& part : content.items()) {
    const std::string type = part.at("type").text();
    if (type == "refusal") {
      text += part.at("refusal").text();
    } else if (type == "input_text" || type == "output_text" || type == "text" ||
               type == "reasoning_text" || type == "summary_text") {
      text += part.at("text").text();
    } else if (from == From::result || (from == From::user && is_attachment(type))) {
      text += model::stand_in(type);
    } else {
      part.fail("parts of type '" + type + "' cannot be read");
    }
  }
  return text;
}

// The items of the input, one after the other; those of one reply become one message.
class Input {
 public:
  std::vector<Message> messages;

  void add(const JsonField& item) {
    const std::string type = item.text_or("type", "message");
    if (type == "message") {
      add_message(item);
    } else if (type == "reasoning") {
      add_reasoning(item);
    } else if (type == "function_call" || type == "custom_tool_call") {
      add_call(item, type == "custom_tool_call");
    } else if (type == "function_call_output" || type == "custom_tool_call_output") {
      messages.push_back({.role = Role::tool,
                          .content = read_text(item.at("output"), From::result),
                          .call_id = item.at("call_id").text()});
    } else if (type == "item_reference") {
      item.fail("nothing is stored here: send the items themselves");
    }
  }

 private:
  void add_message(const JsonField& item) {
    const JsonField role = item.at("role");
    const auto content = item.find("content");
    const std::string name = role.text();
    const From from = name == "user" ? From::user : From::others;
    const std::string text = content ? read_text(*content, from) : "";
    if (name == "assistant") {
      const bool joins = in_calls() || (open_reply() && messages.back().content.empty());
      if (!joins) messages.push_back({.role = Role::assistant});
      messages.back().content += text;
    } else if (name == "user") {
      messages.push_back({.role = Role::user, .content = text});
    } else if (name == "system" || name == "developer") {
      messages.push_back({.role = Role::system, .content = text});
    } else {
      role.fail("'" + name + "' is none of user, assistant, system, developer");
    }
  }

  void add_reasoning(const JsonField& item) {
    if (!in_calls()) messages.push_back({.role = Role::assistant});
    if (const auto content = item.find("content")) messages.back().reasoning += read_text(*content);
  }

  void add_call(const JsonField& item, bool custom) {
    if (!open_reply()) messages.push_back({.role = Role::assistant});
    std::string name = item.at("name").text();
    if (const auto space = item.find("namespace")) name = space->text() + "." + name;
    std::string arguments;
    if (custom) {
      arguments = custom_arguments(item.at("input").text());
    } else {
      arguments = model::read_arguments(item.at("arguments"));
    }
    messages.back().calls.push_back(
        {item.at("call_id").text(), std::move(name), std::move(arguments)});
  }

  bool open_reply() const { return !messages.empty() && messages.back().role == Role::assistant; }
  // Results come behind all that the reply says.
  bool in_calls() const { return open_reply() && !messages.back().calls.empty(); }
};

void read_tool(const JsonField& tool, const std::string& name_space, ResponsesRequest& out) {
  const std::string type = tool.at("type").text();
  if (type == "namespace") {
    const std::string name = tool.at("name").text();
    for (const JsonField& inner : tool.at("tools").items()) read_tool(inner, name, out);
    return;
  }
  if (type != "function" && type != "custom") return;  // one that the vendor's server would run
  ClientTool client{tool.at("name").text(), name_space, type == "custom"};
  model::ToolSpec spec{client.name, tool.text_or("description", ""), "{}"};
  if (!name_space.empty()) spec.name = name_space + "." + spec.name;
  if (client.custom) {
    spec.parameters = R"({"type": "object", "properties": {"input": {"type": "string"}}, )"
                      R"("required": ["input"]})";
  } else if (const auto parameters = tool.find("parameters")) {
    spec.parameters = model::read_schema(*parameters);
  }
  out.tools.emplace(spec.name, std::move(client));
  out.request.tools.push_back(std::move(spec));
}

// As the model calls it; empty: one that the vendor's server would run.
std::string tool_name(const JsonField& tool) {
  const std::string type = tool.text_or("type", "function");
  const bool ours = type == "function" || type == "custom";
  const std::string name = ours ? tool.at("name").text() : tool.text_or("name", "");
  const std::string name_space = tool.text_or("namespace", "");
  return name_space.empty() ? name : name_space + "." + name;
}

void read_tool_choice(const JsonField& choice, ModelRequest& request) {
  if (!choice.is_text()) {
    if (choice.has("tools")) return read_allowed_tools(choice, request, tool_name);
    const std::string name = tool_name(choice);
    if (!name.empty()) need_call(request, choice, name);
    return;
  }
  read_tool_choice_word(choice, request);
}

void read_format(const JsonField& format, ModelRequest& request) {
  const JsonField type = format.at("type");
  if (type.text() == "json_schema") {
    request.rule.content_schema = model::read_schema(format.at("schema"));
  } else if (type.text() == "json_object") {
    request.rule.content_schema = R"({"type": "object"})";
  } else if (type.text() != "text") {
    type.fail("'" + type.text() + "' is none of text, json_object, json_schema");
  }
}

// What is told by its type alone, for it changes nothing here.
void check_types(const JsonField& body) {
  body.boolean_or("store", false);
  if (const auto n = body.find("max_tool_calls")) n->integer(0, INT32_MAX);
  if (const auto field = body.find("truncation")) {
    const std::string word = field->text();
    if (word != "auto" && word != "disabled") {
      field->fail("'" + word + "' is neither auto nor disabled");
    }
  }
}

// What the answer repeats of the request, with the API's own defaults.
Json echo_of(const JsonField& body) {
  Json echo{{"frequency_penalty", 0},
            {"instructions", nullptr},
            {"max_output_tokens", nullptr},
            {"metadata", Json::object()},
            {"parallel_tool_calls", true},
            {"presence_penalty", 0},
            {"previous_response_id", nullptr},
            {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
            {"service_tier", "default"},
            {"temperature", 1.0},
            {"text", {{"format", {{"type", "text"}}}}},
            {"tool_choice", "auto"},
            {"tools", Json::array()},
            {"top_p", 1.0},
            {"truncation", "disabled"}};
  for (auto& [name, value] : echo.items()) {
    if (const auto field = body.find(name.c_str())) value = field->json();
  }
  return echo;
}

}  // namespace

ResponsesRequest read_responses_request(const JsonField& body) {
  ResponsesRequest out;
  ModelRequest& request = out.request;
  for (const char* name : {"previous_response_id", "conversation"}) {
    if (const auto field = body.find(name)) {
      field->fail("nothing is stored here: send the whole input");
    }
  }
  if (body.boolean_or("background", false)) {
    body.at("background").fail("nothing is stored here: wait for the answer, or stream it");
  }
  Input input;
  if (const auto text = body.find("instructions")) {
    input.messages.push_back({.role = Role::system, .content = text->text()});
  }
  const JsonField items = body.at("input");
  if (items.is_text()) {
    input.messages.push_back({.role = Role::user, .content = items.text()});
  } else {
    for (const JsonField& item : read_items(items)) input.add(item);
  }
  request.messages = std::move(input.messages);
  check_results(request.messages, "input");
  if (const auto tools = body.find("tools")) {
    for (const JsonField& tool : tools->items()) read_tool(tool, "", out);
  }
  check_tools(request.tools, "tools");
  if (const auto choice = body.find("tool_choice")) read_tool_choice(*choice, request);
  request.rule.one_call = !body.boolean_or("parallel_tool_calls", true);
  if (const auto text = body.find("text")) {
    if (const auto format = text->find("format")) read_format(*format, request);
  }
  read_sampling(body, request);
  check_types(body);
  if (const auto field = body.find("max_output_tokens")) {
    request.max_tokens = read_max_tokens(*field);
  }
  if (const auto reasoning = body.find("reasoning")) {
    const auto effort = reasoning->find("effort");
    if (effort && !is_effort(*effort)) request.thinking = model::Thinking::off;
    if (const auto summary = reasoning->find("summary")) summary->text();
  }
  if (const auto include = body.find("include")) {
    for (const JsonField& item : include->items()) {
      out.wants_encrypted_reasoning |= item.text() == "reasoning.encrypted_content";
    }
  }
  out.echo = echo_of(body);
  return out;
}

}  // namespace corvid::runtime
