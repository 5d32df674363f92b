// The model of a journaled session, made to say what it said there: `corvid serve --model
// replay:SESSION` plays a run through the real engine, parser and server, and drives clients in
// tests.
//
// Replies come in the order of the journal, whatever is asked; behind the last one the model speaks
// for itself. Only sessions with a local model can be replayed.
#pragma once

#include <string>
#include <vector>

#include "runtime/local_model.h"

namespace corvid::runtime {

inline constexpr std::string_view kReplayPrefix = "replay:";

// `id` as on the command line: of a session, a prefix of one, or empty for the one used last.
// RuntimeError when it cannot be replayed.
LocalModel load_replayed_model(const std::string& id, model::EngineOptions options);

// `model` with its replies replaced.
LocalModel replayed(LocalModel model, std::vector<std::vector<model::Token>> replies);

}  // namespace corvid::runtime
