// How the models of a family write a reply: data that history, parser and constraint share.
//
// The texts are written out with their special tokens in them, as the models' authors publish them.
// Inside, a special token of the syntax is one byte, a mark: UTF-8 has no bytes from F8 on, so 8
// tokens have one each, and a reply is read byte by byte whatever its syntax is made of. A mark is
// only ever made from a token, so text that looks like one is text. Immutable; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/text/tokenizer.h"

namespace corvid::model {

inline constexpr std::uint8_t kFirstMark = 0xF8;
inline bool is_mark(char c) {
  return static_cast<std::uint8_t>(c) >= kFirstMark;
}
// A byte of plain text as it is read: those that would be marks become another one that UTF-8 does
// not have.
inline char plain_byte(char c) {
  return is_mark(c) ? '\xC0' : c;
}

// Text is written as it stands; what follows a colon is an example, from V3.2.
struct CallSyntax {
  std::string_view before;      // separates calls from the content: two newlines
  std::string_view commitment;  // begins what follows; no answer has it at the start of a line
  std::string_view opening;     // of the block of calls; empty where there is no block
  std::string_view call;        // up to the tool's name: <｜DSML｜invoke name="
  std::string_view after_name;
  // Parameters one by one; where `parameter` is empty the arguments are one JSON object.
  std::string_view parameter;  // up to its name: <｜DSML｜parameter name="
  std::string_view as_text;    // up to a value that is text: " string="true">
  std::string_view as_json;    // up to a value that is JSON; the same where the schema tells
  std::string_view after_value;
  std::string_view between_parameters;
  std::string_view after_call;
  std::string_view between_calls;
  std::string_view closing;  // of the block of calls
};

class ReplySyntax {
 public:
  struct Parts {
    std::vector<std::string_view> marks;  // special tokens that `calls` has
    std::vector<std::string_view> ends;   // special tokens; any of them ends a reply
    std::string_view lead;                // what models write before their content
    std::string_view reasoning_end = "</think>";
    CallSyntax calls;
  };
  explicit ReplySyntax(Parts parts);
  ReplySyntax(const ReplySyntax&) = delete;

  const std::vector<std::string_view>& marks() const { return parts_.marks; }
  const std::vector<std::string_view>& ends() const { return parts_.ends; }
  std::string_view lead() const { return parts_.lead; }
  std::string_view reasoning_end() const { return parts_.reasoning_end; }
  // With its special tokens as marks.
  const CallSyntax& calls() const { return parts_.calls; }

  char mark(std::size_t i) const { return static_cast<char>(kFirstMark + i); }
  // The bytes of a token as they are read: a mark, or its text.
  std::string read(std::string_view token_bytes, bool is_special) const;
  // A text with marks as pieces, and as people see it.
  Pieces pieces(std::string_view marked) const;
  std::string spelled(std::string_view marked) const;

  bool has_block() const { return !parts_.calls.closing.empty(); }
  bool has_parameters() const { return !parts_.calls.parameter.empty(); }
  // Whether only the tool's schema tells if a value is text or JSON.
  bool kind_by_schema() const {
    return has_parameters() && parts_.calls.as_text == parts_.calls.as_json;
  }

 private:
  std::string_view marked(std::string_view text);

  Parts parts_;
  std::vector<std::unique_ptr<const std::string>> texts_;  // what the views of `calls` point to
};

// A text of the program's own with special tokens in it: where one of `specials` stands, it is
// meant.
Pieces pieces_of(std::string_view text, std::span<const std::string_view> specials);

// Grows a list of pieces; neighbouring plain text becomes one piece.
class PieceWriter {
 public:
  PieceWriter& special(std::string_view text);
  PieceWriter& plain(std::string_view text);
  PieceWriter& tokens(std::span<const Token> tokens);
  PieceWriter& add(const Pieces& pieces);
  Pieces take() { return std::move(pieces_); }

 private:
  Pieces pieces_;
};

}  // namespace corvid::model
