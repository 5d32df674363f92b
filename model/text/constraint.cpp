#include "model/text/constraint.h"

#include <cassert>
#include <deque>

#include "model/text/call_grammar.h"

namespace corvid::model {
namespace {

using Mode = CallGrammar::Mode;
using State = CallGrammar::State;

constexpr std::size_t kMaxMasks = 64;

class CallConstraint : public Constraint {
 public:
  CallConstraint(std::shared_ptr<const Tokenizer> tokenizer, std::span<const ToolSpec> tools,
                 Thinking thinking)
      : tokenizer_(std::move(tokenizer)), grammar_(tools, thinking), states_{grammar_.start()} {}

  bool free() const override {
    const State& state = states_.back();
    return state.mode == Mode::reasoning || state.mode == Mode::lost ||
           (state.mode == Mode::content && state.matched == 0);
  }

  void mask(TokenMask& allowed) const override {
    if (free()) {
      allowed.allow_all();
      return;
    }
    const State& state = states_.back();
    for (const Known& known : known_) {
      if (known.state == state) {
        allowed = known.mask;
        return;
      }
    }
    allowed.clear();
    walk(state, allowed);
    if (state.mode == Mode::content || state.mode == Mode::closed) allowed.allow(tokenizer_->eos());
    // A schema that nothing satisfies is given up: the toolbox will say what is wrong.
    if (allowed == TokenMask(tokenizer_->vocab_size())) allowed.allow_all();
    if (known_.size() == kMaxMasks) known_.pop_front();
    known_.push_back({state, allowed});
  }

  void accept(Token token) override {
    State state = states_.back();
    if (token != tokenizer_->eos()) {
      for (char byte : tokenizer_->bytes(token)) {
        if (grammar_.step(state, static_cast<std::uint8_t>(byte))) continue;
        state = {};
        state.mode = Mode::lost;
      }
    }
    states_.push_back(state);
    if (states_.size() > kMaxRollback + 1) states_.pop_front();
  }

  void rollback(int n_tokens) override {
    assert(n_tokens >= 0 && n_tokens < static_cast<int>(states_.size()));
    states_.resize(states_.size() - n_tokens);
  }

  std::vector<Token> forced() const override {
    State state = states_.back();
    std::string text;
    while (const std::optional<std::uint8_t> byte = grammar_.only_byte(state)) {
      text += static_cast<char>(*byte);
      grammar_.step(state, *byte);
    }
    if (state.mode != Mode::closed) return tokenizer_->encode_settled(text);
    // Nothing but the end can follow, so no boundary is open.
    std::vector<Token> tokens = tokenizer_->encode(text);
    tokens.push_back(tokenizer_->eos());
    return tokens;
  }

 private:
  struct Known {
    State state;
    TokenMask mask;
  };

  // Walks all tokens in the order of their bytes: what they share is stepped through once, and
  // where a byte is refused, all tokens that go on from it are passed over.
  void walk(const State& start, TokenMask& allowed) const {
    const SortedTokens& sorted = tokenizer_->sorted();
    std::vector<State> path = {start};  // by number of bytes
    std::size_t legal = 0;              // bytes of the last token looked at that are legal
    for (std::size_t i = 0; i < sorted.tokens.size(); ++i) {
      if (sorted.shared[i] > legal) continue;
      const std::string_view bytes = tokenizer_->bytes(sorted.tokens[i]);
      for (legal = sorted.shared[i]; legal < bytes.size(); ++legal) {
        if (path.size() == legal + 1) path.emplace_back();
        path[legal + 1] = path[legal];
        if (!grammar_.step(path[legal + 1], static_cast<std::uint8_t>(bytes[legal]))) break;
      }
      if (legal == bytes.size()) allowed.allow(sorted.tokens[i]);
    }
  }

  const std::shared_ptr<const Tokenizer> tokenizer_;
  const CallGrammar grammar_;
  std::deque<State> states_;         // after each of the last tokens
  mutable std::deque<Known> known_;  // masks made so far
};

}  // namespace

std::unique_ptr<Constraint> call_constraint(std::shared_ptr<const Tokenizer> tokenizer,
                                            std::span<const ToolSpec> tools, Thinking thinking) {
  if (tools.empty()) return nullptr;
  return std::make_unique<CallConstraint>(std::move(tokenizer), tools, thinking);
}

}  // namespace corvid::model
