#include "runtime/serve/completion_writer.h"

#include "runtime/json_line.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;

Json usage_json(const ReplyUsage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.reply_tokens},
          {"total_tokens", usage.prompt_tokens + usage.reply_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"prompt_cache_hit_tokens", usage.cached_tokens},
          {"prompt_cache_miss_tokens", usage.prompt_tokens - usage.cached_tokens}};
}

}  // namespace

CompletionWriter::CompletionWriter(std::string_view id_prefix, std::string model,
                                   const model::JsonField& body)
    : id_(random_id(id_prefix)), model_(std::move(model)) {
  if (const auto options = body.find("stream_options")) {
    include_usage_ = options->boolean_or("include_usage", false);
  }
}

std::string CompletionWriter::fail(const ApiError& error) {
  return sse("", error_json(Dialect::openai, error));
}

Json CompletionWriter::answer(std::string_view object, Json choice) const {
  return {{"id", id_},
          {"object", object},
          {"created", created_},
          {"model", model_},
          {"choices", Json::array({std::move(choice)})}};
}

Json CompletionWriter::whole_answer(std::string_view object, Json choice,
                                    const ReplyUsage& usage) const {
  Json body = answer(object, std::move(choice));
  body["usage"] = usage_json(usage);
  return body;
}

std::string CompletionWriter::end_of_stream(std::string_view object,
                                            const ReplyUsage& usage) const {
  std::string events;
  if (include_usage_) {
    Json last = whole_answer(object, {}, usage);
    last["choices"] = Json::array();
    events = sse("", json_line(last));
  }
  return events + sse("", "[DONE]");
}

}  // namespace corvid::runtime
