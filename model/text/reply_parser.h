// The parsers of replies: see TurnParser.
#pragma once

#include <memory>
#include <span>

#include "model/text/chat_format.h"

namespace corvid::model {

// Of conversations, whatever their syntax, which outlives it.
std::unique_ptr<TurnParser> reply_parser(const ReplySyntax& syntax, Thinking thinking,
                                         std::span<const ToolSpec> tools);
// Of bare texts: all is content, but for special tokens, which are no text.
std::unique_ptr<TurnParser> text_parser();

}  // namespace corvid::model
