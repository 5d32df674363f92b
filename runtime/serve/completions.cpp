#include "runtime/serve/completions.h"

#include <nlohmann/json.hpp>

#include "runtime/json_line.h"
#include "runtime/serve/completion_writer.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;
using model::JsonField;

constexpr int kDefaultMaxTokens = 16;  // as the API has it

class Writer : public CompletionWriter {
 public:
  Writer(std::string model, const JsonField& body)
      : CompletionWriter("cmpl-", std::move(model), body) {}

  std::string begin(const ReplyUsage&) override { return {}; }
  std::string grow(const model::Delta& delta) override {
    return delta.content.empty() ? "" : part(delta.content, nullptr);
  }
  std::string end(const FinishedReply& reply) override {
    return part("", finish_reason(reply)) + end_of_stream(kObject, reply.usage);
  }
  std::string whole(const FinishedReply& reply) override {
    Json only = choice(reply.content, finish_reason(reply));
    return json_line(whole_answer(kObject, std::move(only), reply.usage));
  }

 private:
  static constexpr std::string_view kObject = "text_completion";

  static Json finish_reason(const FinishedReply& reply) {
    return reply.finish == FinishedReply::Finish::length ? "length" : "stop";
  }
  static Json choice(std::string_view text, Json finish) {
    return {
        {"text", text}, {"index", 0}, {"logprobs", nullptr}, {"finish_reason", std::move(finish)}};
  }
  std::string part(std::string_view text, Json finish) const {
    return sse("", json_line(answer(kObject, choice(text, std::move(finish)))));
  }
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
  request.ignore_end = body.boolean_or("ignore_eos", false);  // as vLLM and llama-server have it
  if (const auto stop = body.find("stop")) request.stop_texts = read_stop_texts(*stop);
  for (const char* name : {"n", "best_of"}) {
    if (const auto n = body.find(name)) n->integer(1, 1);
  }
  if (body.boolean_or("echo", false)) body.at("echo").fail("not available here");
  if (const auto suffix = body.find("suffix"); suffix && !suffix->text().empty()) {
    suffix->fail("not available here");
  }
  if (const auto logprobs = body.find("logprobs")) logprobs->fail("not available here");
  call.writer = std::make_unique<Writer>(model, body);
  return call;
}

}  // namespace corvid::runtime
