#include "model/text/constraint.h"

#include <algorithm>
#include <cassert>
#include <deque>

#include "model/text/call_grammar.h"
#include "model/text/reply_rule.h"

namespace corvid::model {
namespace {

using Mode = CallGrammar::Mode;
using State = CallGrammar::State;

constexpr std::size_t kMaxMasks = 64;

class CallConstraint : public Constraint {
 public:
  CallConstraint(std::shared_ptr<const ChatFormat> format,
                 std::shared_ptr<const Tokenizer> tokenizer, std::span<const ToolSpec> tools,
                 Thinking thinking, const ReplyRule& rule)
      : format_(std::move(format)),
        tokenizer_(std::move(tokenizer)),
        syntax_(format_->syntax()),
        grammar_(syntax_, tools, thinking, rule),
        may_call_(rule.calls != ReplyRule::Calls::none),
        states_{grammar_.start()} {
    for (std::string_view text : syntax_.marks()) marks_.push_back(*tokenizer_->special(text));
    for (std::string_view text : syntax_.ends()) {
      if (const auto token = tokenizer_->special(text)) ends_.push_back(*token);
    }
  }

  bool free() const override {
    const State& state = states_.back();
    return state.mode == Mode::reasoning || state.mode == Mode::lost ||
           (state.mode == Mode::content && state.matched == 0 && may_call_);
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
    if (grammar_.may_end(state)) {
      for (Token end : ends_) allowed.allow(end);
    }
    // A schema that nothing satisfies is given up: the toolbox will say what is wrong.
    if (allowed == TokenMask(tokenizer_->vocab_size())) allowed.allow_all();
    if (known_.size() == kMaxMasks) known_.pop_front();
    known_.push_back({state, allowed});
  }

  void accept(Token token) override {
    State state = states_.back();
    if (std::ranges::find(ends_, token) == ends_.end()) {
      for (char byte : syntax_.read(tokenizer_->bytes(token), tokenizer_->is_special(token))) {
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
    if (state.mode != Mode::closed) return encode_settled(text);
    // Nothing but the end can follow, so no boundary is open.
    std::vector<Token> tokens = tokenizer_->encode(syntax_.pieces(text));
    tokens.push_back(ends_.front());
    return tokens;
  }

 private:
  struct Known {
    State state;
    TokenMask mask;
  };

  // What lies before a special token is settled.
  std::vector<Token> encode_settled(std::string_view marked) const {
    const auto last_mark = std::ranges::find_if(marked.rbegin(), marked.rend(), is_mark);
    const auto size = static_cast<std::size_t>(marked.rend() - last_mark);
    std::vector<Token> tokens = tokenizer_->encode(syntax_.pieces(marked.substr(0, size)));
    const std::vector<Token> rest = tokenizer_->encode_settled(marked.substr(size));
    tokens.insert(tokens.end(), rest.begin(), rest.end());
    return tokens;
  }

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
        const auto byte = static_cast<std::uint8_t>(plain_byte(bytes[legal]));
        if (!grammar_.step(path[legal + 1], byte)) break;
      }
      if (legal == bytes.size()) allowed.allow(sorted.tokens[i]);
    }
    for (std::size_t i = 0; i < marks_.size(); ++i) {
      State state = start;
      if (grammar_.step(state, static_cast<std::uint8_t>(syntax_.mark(i))))
        allowed.allow(marks_[i]);
    }
  }

  const std::shared_ptr<const ChatFormat> format_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  const ReplySyntax& syntax_;
  const CallGrammar grammar_;
  const bool may_call_;       // if not, a token may be the beginning of a call already
  std::vector<Token> marks_;  // by their place in the syntax
  std::vector<Token> ends_;
  std::deque<State> states_;         // after each of the last tokens
  mutable std::deque<Known> known_;  // masks made so far
};

}  // namespace

std::unique_ptr<Constraint> call_constraint(std::shared_ptr<const ChatFormat> format,
                                            std::shared_ptr<const Tokenizer> tokenizer,
                                            std::span<const ToolSpec> tools, Thinking thinking) {
  return ruled_constraint(std::move(format), std::move(tokenizer), tools, thinking, {});
}

std::unique_ptr<Constraint> ruled_constraint(std::shared_ptr<const ChatFormat> format,
                                             std::shared_ptr<const Tokenizer> tokenizer,
                                             std::span<const ToolSpec> tools, Thinking thinking,
                                             const ReplyRule& rule) {
  if (rule.content_schema.empty()) {
    if (rule.calls == ReplyRule::Calls::free && tools.empty()) return nullptr;
    // Without a constraint, tokens that begin a call are never sampled.
    const bool begins_with_token = is_mark(format->syntax().calls().commitment[0]);
    if (rule.calls == ReplyRule::Calls::none && begins_with_token) return nullptr;
  }
  return std::make_unique<CallConstraint>(std::move(format), std::move(tokenizer), tools, thinking,
                                          rule);
}

}  // namespace corvid::model
