// The model-facing text of a tool, from the .md file beside its source: the description, then one
// fenced block with the JSON Schema of the parameters. Pure; throws ToolError when it has none.
#pragma once

#include <string>
#include <string_view>

#include "model/chat.h"

namespace corvid::tools {

model::ToolSpec spec_from_text(std::string name, std::string_view text);

}  // namespace corvid::tools
