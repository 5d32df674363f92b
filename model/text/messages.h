// A conversation in OpenAI's shape, as files and HTTP requests carry it.
//
//   {"messages": [{"role", "content", "reasoning_content", "tool_calls", "tool_call_id"}, ...],
//    "tools": [{"type": "function", "function": {"name", "description", "parameters"}}],
//    "thinking": true}
//
// `arguments` of a call may be an object or its text. Any thread; ModelError names what is wrong
// and where.
#pragma once

#include <string_view>
#include <vector>

#include "model/chat.h"

namespace corvid::model {

struct Conversation {
  std::vector<Message> messages;
  std::vector<ToolSpec> tools;
  Thinking thinking = Thinking::on;
};

Conversation read_conversation(std::string_view json);

}  // namespace corvid::model
