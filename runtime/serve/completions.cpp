#include "runtime/serve/completions.h"

#include <nlohmann/json.hpp>

#include "runtime/json_line.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;
using model::JsonField;

constexpr int kDefaultMaxTokens = 16;  // as the API has it

Json usage_json(const ReplyUsage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.reply_tokens},
          {"total_tokens", usage.prompt_tokens + usage.reply_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

class Writer : public ReplyWriter {
 public:
  Writer(std::string model, bool include_usage)
      : model_(std::move(model)), include_usage_(include_usage) {}

  std::string begin(const ReplyUsage&) override { return {}; }
  std::string grow(const model::Delta& delta) override {
    return delta.content.empty() ? "" : sse("", json_line(body(delta.content, nullptr)));
  }
  std::string end(const FinishedReply& reply) override {
    std::string events = sse("", json_line(body("", finish_reason(reply))));
    if (include_usage_) {
      Json last = body("", nullptr);
      last["choices"] = Json::array();
      last["usage"] = usage_json(reply.usage);
      events += sse("", json_line(last));
    }
    return events + sse("", "[DONE]");
  }
  std::string fail(const ApiError& error) override {
    return sse("", error_json(Dialect::openai, error));
  }
  std::string whole(const FinishedReply& reply) override {
    Json answer = body(reply.content, finish_reason(reply));
    answer["usage"] = usage_json(reply.usage);
    return json_line(answer);
  }

 private:
  static Json finish_reason(const FinishedReply& reply) {
    return reply.finish == FinishedReply::Finish::length ? "length" : "stop";
  }
  Json body(std::string_view text, Json finish) const {
    const Json choice{
        {"text", text}, {"index", 0}, {"logprobs", nullptr}, {"finish_reason", std::move(finish)}};
    return {{"id", id_},
            {"object", "text_completion"},
            {"created", created_},
            {"model", model_},
            {"choices", Json::array({choice})}};
  }

  const std::string id_ = random_id("cmpl-");
  const std::int64_t created_ = seconds_since_epoch();
  const std::string model_;
  const bool include_usage_;
};

}  // namespace

ApiCall text_completion(const JsonField& body, const std::string& model) {
  ApiCall call;
  ModelRequest& request = call.request;
  JsonField prompt = body.at("prompt");
  if (prompt.is_array()) {
    const std::vector<JsonField> prompts = prompt.items();
    if (prompts.size() != 1) prompt.fail("one text is answered at a time");
    prompt = prompts[0];
  }
  request.text = prompt.text();
  read_sampling(body, request);
  const auto max_tokens = body.find("max_tokens");
  request.max_tokens = max_tokens ? read_max_tokens(*max_tokens) : kDefaultMaxTokens;
  if (const auto stop = body.find("stop")) request.stop_texts = read_stop_texts(*stop);
  if (const auto n = body.find("n")) n->integer(1, 1);
  if (body.boolean_or("echo", false)) body.at("echo").fail("not available here");
  bool include_usage = false;
  if (const auto options = body.find("stream_options")) {
    include_usage = options->boolean_or("include_usage", false);
  }
  call.writer = std::make_unique<Writer>(model, include_usage);
  return call;
}

}  // namespace corvid::runtime
