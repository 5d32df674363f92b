// A model file made ready to talk: engine, tokenizer, chat format, and the profile it may carry.
//
// A profile says exactly what the model was trained to be offered: its system text and its tools.
// Such a model gets these bytes and nothing else (no AGENTS.md, no plugins). Immutable after
// loading. Throws ModelError or RuntimeError with what to do.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/engine.h"
#include "model/files/gguf.h"
#include "model/sampler.h"
#include "model/text/chat_format.h"
#include "model/text/constraint.h"
#include "model/text/reply_rule.h"
#include "model/text/tokenizer.h"

namespace corvid::runtime {

// Key `corvid.profile` of the file: {"version": 1, "system": ..., "tools": [...]}.
struct Profile {
  std::string system;
  std::vector<model::ToolSpec> tools;
};
std::optional<Profile> profile_of(const model::GgufFile& file);

struct LocalModel {
  std::shared_ptr<model::Engine> engine;
  std::shared_ptr<const model::Tokenizer> tokenizer;
  std::shared_ptr<const model::ChatFormat> format;
  std::optional<Profile> profile;
  std::string name;         // path, or "built-in"
  std::string description;  // for people
  model::Sampling sampling;
  // What may come next in a reply; a replayed session and tests put a script here.
  std::function<std::unique_ptr<model::Constraint>(std::span<const model::ToolSpec>,
                                                   model::Thinking, const model::ReplyRule&)>
      constraint;
};

// An empty chat format: the one that the file tells.
LocalModel load_local_model(std::shared_ptr<const model::GgufFile> file,
                            model::EngineOptions options, const std::string& chat_format = {});

// The model inside this program.
std::shared_ptr<const model::GgufFile> builtin_model_file();
inline constexpr const char* kBuiltinModel = "built-in";
// A path, or the name of the built-in one.
std::shared_ptr<const model::GgufFile> open_model_file(const std::string& name);

}  // namespace corvid::runtime
