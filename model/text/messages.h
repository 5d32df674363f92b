// A conversation in OpenAI's shape, as files and HTTP requests carry it.
//
//   {"messages": [{"role", "content", "reasoning_content", "tool_calls", "tool_call_id"}, ...],
//    "tools": [{"type": "function", "function": {"name", "description", "parameters"}}],
//    "thinking": true}
//
// `arguments` of a call may be an object or its text; reasoning may be called `reasoning`; content
// that is null, absent, empty or a list of text parts is the text it has. Any thread; ModelError
// names what is wrong and where.
#pragma once

#include <string_view>
#include <vector>

#include "model/chat.h"
#include "model/text/json_field.h"

namespace corvid::model {

struct Conversation {
  std::vector<Message> messages;
  std::vector<ToolSpec> tools;
  Thinking thinking = Thinking::on;
};

Conversation read_conversation(std::string_view json);

std::vector<Message> read_messages(const JsonField& messages);
// What is read in the place of a picture, or whatever else is no text, in a tool's result or with
// what a user says: it comes with every later request, and to refuse it would end the conversation.
std::string stand_in(std::string_view type);
std::vector<ToolSpec> read_tools(const JsonField& tools);
// The arguments of a call, an object or its text, as a chat format prints them.
std::string read_arguments(const JsonField& arguments);
// A JSON Schema of arguments as a chat format prints it.
std::string read_schema(const JsonField& schema);

}  // namespace corvid::model
