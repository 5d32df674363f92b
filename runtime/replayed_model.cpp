#include "runtime/replayed_model.h"

#include <deque>

#include "memory/journal.h"
#include "runtime/error.h"
#include "runtime/folders.h"
#include "runtime/record.h"

namespace corvid::runtime {
namespace {

// Admits the tokens of one reply, one after the other, and then its end.
class ReplayedReply : public model::Constraint {
 public:
  ReplayedReply(std::vector<model::Token> tokens, std::vector<model::Token> ends)
      : tokens_(std::move(tokens)), ends_(std::move(ends)) {}

  bool free() const override { return false; }
  void mask(model::TokenMask& allowed) const override {
    allowed.clear();
    if (at_ < tokens_.size()) return allowed.allow(tokens_[at_]);
    for (const model::Token end : ends_) allowed.allow(end);
  }
  void accept(model::Token) override { ++at_; }
  void rollback(int n_tokens) override { at_ -= static_cast<std::size_t>(n_tokens); }
  std::vector<model::Token> forced() const override { return {}; }

 private:
  const std::vector<model::Token> tokens_, ends_;
  std::size_t at_ = 0;
};

}  // namespace

LocalModel replayed(LocalModel model, std::vector<std::vector<model::Token>> replies) {
  std::vector<model::Token> ends;
  for (const std::string_view text : model.format->syntax().ends()) {
    if (const auto token = model.tokenizer->special(text)) ends.push_back(*token);
  }
  struct Script {
    std::vector<std::vector<model::Token>> replies;
    std::size_t next = 0;  // engine thread
  };
  auto script = std::make_shared<Script>(Script{std::move(replies)});
  model.constraint = [script, ends, itself = std::move(model.constraint)](
                         std::span<const model::ToolSpec> tools,
                         model::Thinking thinking) -> std::unique_ptr<model::Constraint> {
    if (script->next == script->replies.size()) return itself(tools, thinking);
    return std::make_unique<ReplayedReply>(script->replies[script->next++], ends);
  };
  return model;
}

LocalModel load_replayed_model(const std::string& id, model::EngineOptions options) {
  const auto journal = memory::Journal::open(sessions_file());
  const std::optional<memory::SessionInfo> session = journal->find(id);
  if (!session) {
    throw RuntimeError("There is no session '" + id + "'; `corvid sessions` lists them.", kUsage);
  }
  const memory::SessionHeader& header = session->header;
  if (header.model_fingerprint.empty()) {
    throw RuntimeError("Session " + session->id + " ran on " + header.model +
                           ": only what a local model said can be replayed.",
                       kUsage);
  }
  auto file =
      header.model == kBuiltinModel ? builtin_model_file() : model::GgufFile::open(header.model);
  if (file->fingerprint() != header.model_fingerprint) {
    throw RuntimeError(header.model + " is not the model of session " + session->id + " any more.",
                       kModelError);
  }
  std::vector<std::vector<model::Token>> replies;
  for (const memory::Step& step : journal->steps(session->id)) {
    if (step.kind == memory::Step::Kind::model) break;  // another model took over
    if (step.kind == memory::Step::Kind::turn) replies.push_back(step.tokens);
  }
  const std::string format = header.chat_format.substr(0, header.chat_format.find('/'));
  return replayed(load_local_model(std::move(file), std::move(options), format),
                  std::move(replies));
}

}  // namespace corvid::runtime
