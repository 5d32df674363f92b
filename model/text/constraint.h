// Which tokens may come next in a reply, and which must.
//
// Active only inside protocol syntax: from the first byte of the block of calls, through tool
// names, parameter names and typed values, to the token that ends the reply after them.
// Reasoning, content and string payloads are free. Built from the tools' names and schemas, so a
// call that ends is always well-formed: a known tool, known parameters, none twice, all required
// ones present, JSON where the schema wants JSON. One object per reply; owned by Generation; engine
// thread only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/chat.h"
#include "model/text/chat_format.h"
#include "model/text/tokenizer.h"

namespace corvid::model {

// One bit per token of the vocabulary.
class TokenMask {
 public:
  explicit TokenMask(int vocab_size) : size_(vocab_size), bits_((vocab_size + 63) / 64) {}
  bool operator==(const TokenMask&) const = default;
  void clear() { std::fill(bits_.begin(), bits_.end(), 0); }
  void allow(Token token) { bits_[token >> 6] |= std::uint64_t{1} << (token & 63); }
  void allow_all() { std::fill(bits_.begin(), bits_.end(), ~std::uint64_t{0}); }
  bool allows(Token token) const { return bits_[token >> 6] >> (token & 63) & 1; }
  int size() const { return size_; }
  std::span<const std::uint64_t> words() const { return bits_; }

 private:
  int size_;
  std::vector<std::uint64_t> bits_;
};

class Constraint {
 public:
  virtual ~Constraint() = default;
  // True when every token is allowed now; mask() need not be asked.
  virtual bool free() const = 0;
  // `allowed` has one bit for each token of the tokenizer.
  virtual void mask(TokenMask& allowed) const = 0;
  virtual void accept(Token token) = 0;
  // Takes back the last tokens, at most kMaxRollback of them.
  virtual void rollback(int n_tokens) = 0;
  static constexpr int kMaxRollback = 64;
  // Tokens that must come next whatever the model says: protocol text with one continuation. The
  // run stops one token early, so that the last token is sampled under the mask and no token
  // boundary is imposed that the model never saw. Empty when there is a choice. After the block of
  // calls it is the token that ends the reply.
  virtual std::vector<Token> forced() const = 0;
};

// The constraint of the format's call syntax over `tools`; nullptr when there is none to call.
std::unique_ptr<Constraint> call_constraint(std::shared_ptr<const ChatFormat> format,
                                            std::shared_ptr<const Tokenizer> tokenizer,
                                            std::span<const ToolSpec> tools, Thinking thinking);

}  // namespace corvid::model
