#include "runtime/local_model.h"

#include <nlohmann/json.hpp>

#include "model/error.h"
#include "model/text/json_field.h"
#include "runtime/error.h"
#include "runtime/remote_endpoint.h"

namespace corvid::runtime {

std::optional<Profile> profile_of(const model::GgufFile& file) {
  const std::optional<std::string> text = file.string("corvid.profile");
  if (!text) return std::nullopt;
  try {
    const model::JsonDocument document(*text);
    const model::JsonField root = document.root();
    const std::int64_t version = root.at("version").integer(0, INT32_MAX);
    if (version != 1) {
      throw RuntimeError(file.name() + ": its profile has version " + std::to_string(version) +
                             ", this program knows 1. Update Corvid.",
                         kModelError);
    }
    Profile profile{root.at("system").text(), {}};
    for (const model::JsonField& tool : root.at("tools").items()) {
      profile.tools.push_back({tool.at("name").text(), tool.at("description").text(),
                               tool.at("parameters").json().dump()});
    }
    return profile;
  } catch (const model::ModelError& error) {
    throw RuntimeError(file.name() + ": its key corvid.profile cannot be read: " + error.what(),
                       kModelError);
  }
}

std::shared_ptr<const model::GgufFile> open_model_file(const std::string& name) {
  if (name == kBuiltinModel) return builtin_model_file();
  if (is_url(name)) {
    throw RuntimeError(
        name + " is a server, and here a GGUF file is needed; `corvid run` takes both.", kUsage);
  }
  if (name.find("://") != std::string::npos) {
    throw RuntimeError(
        "--model takes a GGUF file or a URL like https://host/v1; " + name + " is neither.",
        kUsage);
  }
  return model::GgufFile::open(name);
}

LocalModel load_local_model(std::shared_ptr<const model::GgufFile> file,
                            model::EngineOptions options, const std::string& chat_format) {
  LocalModel local;
  local.name = file->name();
  local.tokenizer = model::Tokenizer::load(*file);
  if (!local.tokenizer) {
    throw RuntimeError(file->name() + ": carries no tokenizer, so it can only be used by " +
                           "`corvid logits` and `corvid bench`.",
                       kModelError);
  }
  local.format = model::ChatFormat::of_model(*file, *local.tokenizer, chat_format);
  local.profile = profile_of(*file);
  local.engine = model::Engine::load(std::move(file), std::move(options));
  local.description = local.name + " (" + local.engine->description() + ")";
  // A model with a profile has been examined in greedy mode.
  if (!local.profile) {
    const model::RecommendedSampling recommended = local.format->sampling();
    local.sampling = {.temperature = recommended.temperature, .top_p = recommended.top_p};
  }
  local.constraint = [format = local.format, tokenizer = local.tokenizer](
                         std::span<const model::ToolSpec> tools, model::Thinking thinking,
                         const model::ReplyRule& rule) {
    return model::ruled_constraint(format, tokenizer, tools, thinking, rule);
  };
  return local;
}

}  // namespace corvid::runtime
