#include "runtime/replayed_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "memory/journal.h"
#include "runtime/error.h"
#include "runtime/folders.h"
#include "runtime/record.h"

namespace corvid::runtime {
namespace {

using Json = nlohmann::ordered_json;
using model::Thinking;
using model::Token;

// Admits the tokens of one reply, one after the other, and then its end.
class ReplayedReply : public model::Constraint {
 public:
  ReplayedReply(std::vector<Token> tokens, std::vector<Token> ends)
      : tokens_(std::move(tokens)), ends_(std::move(ends)) {}

  bool free() const override { return false; }
  void mask(model::TokenMask& allowed) const override {
    allowed.clear();
    if (at_ < tokens_.size()) return allowed.allow(tokens_[at_]);
    for (const Token end : ends_) allowed.allow(end);
  }
  void accept(Token) override { ++at_; }
  void rollback(int n_tokens) override { at_ -= static_cast<std::size_t>(n_tokens); }
  std::vector<Token> forced() const override { return {}; }

 private:
  const std::vector<Token> tokens_, ends_;
  std::size_t at_ = 0;
};

// A script, and what it needs to know of the model. Engine thread, once a server runs.
struct Script {
  std::shared_ptr<const model::Tokenizer> tokenizer;
  std::shared_ptr<const model::ChatFormat> format;
  std::vector<std::vector<Token>> replies;  // each with the end of its reasoning
  std::size_t next = 0;

  std::optional<Token> reasoning_end() const {
    return tokenizer->special(format->syntax().reasoning_end());
  }
  // As a reply with or without thinking begins.
  std::vector<Token> reply(Thinking thinking) const {
    std::vector<Token> tokens = replies[next];
    if (thinking == Thinking::on) return tokens;
    const auto end = std::ranges::find(tokens, reasoning_end().value_or(-1));
    if (end != tokens.end()) tokens.erase(tokens.begin(), end + 1);
    return tokens;
  }
};

model::Turn turn_of(const Script& script, std::span<const Token> tokens, Thinking thinking,
                    std::span<const model::ToolSpec> tools) {
  const auto parser = script.format->parser(thinking, tools);
  for (const Token token : tokens) {
    const std::string_view bytes = script.tokenizer->bytes(token);
    script.tokenizer->is_special(token) ? parser->feed_special(bytes) : parser->feed(bytes);
  }
  return parser->finish(model::Stop::end);
}

// Whether what was asked can be answered so: it offers the tools that are called, and its rule, if
// it has one, admits each token.
bool may_answer(const Script& script, std::span<const Token> tokens, Thinking thinking,
                std::span<const model::ToolSpec> tools, const model::ReplyRule& rule) {
  for (const model::ToolCall& call : turn_of(script, tokens, thinking, tools).calls) {
    if (std::ranges::find(tools, call.name, &model::ToolSpec::name) == tools.end()) return false;
  }
  if (rule == model::ReplyRule()) return true;
  const auto constraint =
      model::ruled_constraint(script.format, script.tokenizer, tools, thinking, rule);
  model::TokenMask allowed(script.tokenizer->vocab_size());
  for (const Token token : tokens) {
    if (!constraint) return true;
    allowed.clear();
    if (!constraint->free()) constraint->mask(allowed);
    if (!constraint->free() && !allowed.allows(token)) return false;
    constraint->accept(token);
  }
  return true;
}

// A reply that was asked for without thinking has no end of it.
std::vector<Token> with_reasoning_end(const memory::Step& step, std::optional<Token> end) {
  std::vector<Token> tokens = step.tokens;
  const bool has_it = std::ranges::find(tokens, end.value_or(-1)) != tokens.end();
  const bool thought = !Json::parse(step.json).value("reasoning", "").empty();
  if (end && !has_it && !thought) tokens.insert(tokens.begin(), *end);
  return tokens;
}

}  // namespace

LocalModel replayed(LocalModel model, std::vector<std::vector<Token>> replies) {
  std::vector<Token> ends;
  for (const std::string_view text : model.format->syntax().ends()) {
    if (const auto token = model.tokenizer->special(text)) ends.push_back(*token);
  }
  auto script = std::make_shared<Script>(Script{model.tokenizer, model.format, std::move(replies)});
  model.constraint = [script, ends, itself = std::move(model.constraint)](
                         std::span<const model::ToolSpec> tools, Thinking thinking,
                         const model::ReplyRule& rule) -> std::unique_ptr<model::Constraint> {
    if (script->next < script->replies.size()) {
      std::vector<Token> reply = script->reply(thinking);
      if (may_answer(*script, reply, thinking, tools, rule)) {
        ++script->next;
        return std::make_unique<ReplayedReply>(std::move(reply), ends);
      }
    }
    return itself(tools, thinking, rule);
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
  auto file = open_model_file(header.model);
  if (file->fingerprint() != header.model_fingerprint) {
    throw RuntimeError(header.model + " is not the model of session " + session->id + " any more.",
                       kModelError);
  }
  const std::string format = header.chat_format.substr(0, header.chat_format.find('/'));
  LocalModel model = load_local_model(std::move(file), std::move(options), format);
  const std::optional<Token> reasoning_end =
      model.tokenizer->special(model.format->syntax().reasoning_end());
  std::vector<std::vector<Token>> replies;
  for (const memory::Step& step : journal->steps(session->id)) {
    if (step.kind == memory::Step::Kind::model) break;  // another model took over
    if (step.kind != memory::Step::Kind::turn) continue;
    replies.push_back(with_reasoning_end(step, reasoning_end));
  }
  return replayed(std::move(model), std::move(replies));
}

}  // namespace corvid::runtime
