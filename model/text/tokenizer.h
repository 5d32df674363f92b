// Byte-level BPE tokenizer, built from the vocabulary inside a GGUF file.
//
// Special tokens are only ever produced by id (token()) or from a `special` piece; text from a
// user, a file or a tool is encoded with specials off, so `<｜User｜>` in it is plain bytes. Bytes
// that are no UTF-8 become U+FFFD where the vocabulary has no tokens for them.
// Immutable after construction; any thread. Throws ModelError when the vocabulary is unusable.
// Source: GPT-2 byte-level BPE; pre-split rules of the models' tokenizer.json.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat.h"

namespace corvid::model {

class GgufFile;

// A prompt is a list of pieces: a special token by its text, plain text, or tokens as they are.
struct Piece {
  bool special = false;
  std::string text;
  std::vector<Token> tokens = {};  // where there are some, there is no text

  bool operator==(const Piece&) const = default;
};
using Pieces = std::vector<Piece>;

// The tokens that are not special, in the order of their bytes: what a walk over all of them needs.
struct SortedTokens {
  std::vector<Token> tokens;
  std::vector<std::uint32_t> shared;  // bytes that a token has in common with the one before
};

class Tokenizer {
 public:
  // nullptr when the file says `tokenizer.ggml.model = none`.
  static std::shared_ptr<const Tokenizer> load(const GgufFile& file);
  ~Tokenizer();

  int vocab_size() const;
  Token bos() const;  // -1: the file names none
  Token eos() const;

  // Plain text, special tokens off.
  std::vector<Token> encode(std::string_view text) const;
  // Special tokens on: control and user-defined tokens in `text` are recognised, longest first.
  // For `corvid tokenize --special` and trusted templates only.
  std::vector<Token> encode_special(std::string_view text) const;
  // Adjacent plain pieces are joined before BPE. ModelError names an unknown special token.
  std::vector<Token> encode(const Pieces& pieces) const;

  // The tokens at the start of encode(text) that stay the same whatever text follows.
  std::vector<Token> encode_settled(std::string_view text) const;

  // The bytes of a token as they appear in text (a special token gives its own text).
  std::string_view bytes(Token token) const;
  bool is_special(Token token) const;
  std::string decode(std::span<const Token> tokens) const;
  // Id of a special token by its text, e.g. "<think>"; nullopt when the vocabulary lacks it.
  std::optional<Token> special(std::string_view text) const;
  const SortedTokens& sorted() const;  // made at the first call

 private:
  struct Tables;
  explicit Tokenizer(std::unique_ptr<Tables> tables);
  std::unique_ptr<Tables> tables_;
};

}  // namespace corvid::model
