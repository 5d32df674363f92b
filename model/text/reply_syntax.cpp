#include "model/text/reply_syntax.h"

#include <algorithm>
#include <cassert>

namespace corvid::model {

PieceWriter& PieceWriter::special(std::string_view text) {
  pieces_.push_back({true, std::string(text)});
  return *this;
}

PieceWriter& PieceWriter::plain(std::string_view text) {
  if (text.empty()) return *this;
  const bool joins = !pieces_.empty() && !pieces_.back().special && pieces_.back().tokens.empty();
  if (!joins) pieces_.push_back({false, {}});
  pieces_.back().text += text;
  return *this;
}

PieceWriter& PieceWriter::tokens(std::span<const Token> tokens) {
  if (!tokens.empty()) pieces_.push_back({false, {}, {tokens.begin(), tokens.end()}});
  return *this;
}

PieceWriter& PieceWriter::add(const Pieces& pieces) {
  for (const Piece& piece : pieces) {
    piece.special ? special(piece.text) : plain(piece.text).tokens(piece.tokens);
  }
  return *this;
}

Pieces pieces_of(std::string_view text, std::span<const std::string_view> specials) {
  PieceWriter out;
  std::size_t plain = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const auto found = std::ranges::find_if(
        specials, [rest](std::string_view special) { return rest.starts_with(special); });
    if (found == specials.end()) {
      ++at;
      continue;
    }
    out.plain(text.substr(plain, at - plain)).special(*found);
    plain = at += found->size();
  }
  return out.plain(text.substr(plain)).take();
}

ReplySyntax::ReplySyntax(Parts parts) : parts_(std::move(parts)) {
  assert(!parts_.ends.empty() && parts_.marks.size() <= 0x100 - kFirstMark);
  CallSyntax& calls = parts_.calls;
  for (std::string_view* text :
       {&calls.before, &calls.commitment, &calls.opening, &calls.call, &calls.after_name,
        &calls.parameter, &calls.as_text, &calls.as_json, &calls.after_value,
        &calls.between_parameters, &calls.after_call, &calls.between_calls, &calls.closing}) {
    *text = marked(*text);
  }
  assert((std::string(calls.opening) + std::string(calls.call)).starts_with(calls.commitment));
}

std::string_view ReplySyntax::marked(std::string_view text) {
  auto out = std::make_unique<std::string>();
  for (const Piece& piece : pieces_of(text, parts_.marks)) *out += read(piece.text, piece.special);
  texts_.push_back(std::move(out));
  return *texts_.back();
}

std::string ReplySyntax::read(std::string_view token_bytes, bool is_special) const {
  const auto found = std::ranges::find(parts_.marks, token_bytes);
  if (is_special && found != parts_.marks.end()) {
    return {mark(static_cast<std::size_t>(found - parts_.marks.begin()))};
  }
  std::string out(token_bytes);
  std::ranges::transform(out, out.begin(), plain_byte);
  return out;
}

Pieces ReplySyntax::pieces(std::string_view marked) const {
  PieceWriter out;
  std::size_t plain = 0;
  for (std::size_t at = 0; at < marked.size(); ++at) {
    if (!is_mark(marked[at])) continue;
    const std::size_t i = static_cast<std::uint8_t>(marked[at]) - kFirstMark;
    out.plain(marked.substr(plain, at - plain)).special(parts_.marks[i]);
    plain = at + 1;
  }
  return out.plain(marked.substr(plain)).take();
}

std::string ReplySyntax::spelled(std::string_view marked) const {
  std::string text;
  for (const Piece& piece : pieces(marked)) text += piece.text;
  return text;
}

}  // namespace corvid::model
