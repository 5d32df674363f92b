// A constraint that leaves no choice: the reply is a script of tokens, while the engine really
// computes every row and everything behind the sampler does its work.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "model/text/constraint.h"

namespace corvid::model::testing {

class Script : public Constraint {
 public:
  // With `inner`, what it forces is appended without sampling, as for a real reply.
  explicit Script(std::vector<Token> tokens, std::unique_ptr<Constraint> inner = nullptr)
      : tokens_(std::move(tokens)), inner_(std::move(inner)) {}

  bool free() const override { return false; }
  void mask(TokenMask& allowed) const override {
    allowed.clear();
    allowed.allow(next());
  }
  void accept(Token token) override {
    EXPECT_EQ(token, next());
    ++at_;
    if (inner_) inner_->accept(token);
  }
  void rollback(int n_tokens) override {
    at_ -= n_tokens;
    if (inner_) inner_->rollback(n_tokens);
  }
  std::vector<Token> forced() const override {
    return inner_ ? inner_->forced() : std::vector<Token>();
  }

 private:
  Token next() const {
    EXPECT_LT(at_, tokens_.size()) << "the script is too short";
    return tokens_[std::min(at_, tokens_.size() - 1)];
  }

  const std::vector<Token> tokens_;
  const std::unique_ptr<Constraint> inner_;
  std::size_t at_ = 0;
};

}  // namespace corvid::model::testing
