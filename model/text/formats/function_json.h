// A tool as the JSON object that formats list it by: name, description and parameters.
#pragma once

#include <string>

#include "model/text/chat_format.h"
#include "model/text/json_text.h"

namespace corvid::model::formats {

inline std::string function_json(const ToolSpec& tool) {
  return "{\"name\": " + json_quote(tool.name) +
         ", \"description\": " + json_quote(tool.description) +
         ", \"parameters\": " + print_json(tool.parameters) + "}";
}

}  // namespace corvid::model::formats
