// The parser of replies, whatever their syntax: see TurnParser. `syntax` outlives it.
#pragma once

#include <memory>
#include <span>

#include "model/text/chat_format.h"

namespace corvid::model {

std::unique_ptr<TurnParser> reply_parser(const ReplySyntax& syntax, Thinking thinking,
                                         std::span<const ToolSpec> tools);

}  // namespace corvid::model
