// The interactive session: a person and a model take turns at a terminal.
//
// Ctrl-C stops the running turn and keeps everything; a second one leaves. At the prompt it clears
// the line. While the person types, reasoning is dropped in the background by the model's rule.
// Uses standard input and output; runs the agent's io. Throws what the agent throws.
#pragma once

#include "runtime/agent.h"
#include "runtime/error.h"

namespace corvid::runtime {

// RuntimeError (kUsage) when input or output is no terminal.
ExitCode converse(AgentOptions options);

}  // namespace corvid::runtime
