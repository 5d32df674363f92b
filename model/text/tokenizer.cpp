#include "model/text/tokenizer.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cassert>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <queue>
#include <unordered_map>

#include "model/error.h"
#include "model/files/gguf.h"
#include "model/text/pre_split.h"
#include "model/text/utf8.h"

namespace corvid::model {
namespace {

// Token types of the file format.
enum TokenType : std::int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
};

constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();

// A merge of two neighbours: the lower its rank, the earlier it is made.
struct Merge {
  std::uint32_t rank = kNoRank;
  Token result = -1;
};

// Pairs of tokens to merges: open addressing, because BPE does little else than look up here.
class MergeTable {
 public:
  explicit MergeTable(std::size_t n_merges) {
    std::size_t size = 16;
    while (size < 2 * n_merges) size *= 2;
    slots_.resize(size);
  }

  // The first merge of a pair counts.
  void insert(Token left, Token right, Merge merge) {
    Slot& slot = slots_[place(key_of(left, right))];
    if (slot.merge.rank == kNoRank) slot = {key_of(left, right), merge};
  }

  Merge find(Token left, Token right) const { return slots_[place(key_of(left, right))].merge; }

 private:
  struct Slot {
    std::uint64_t key = 0;
    Merge merge;
  };

  static std::uint64_t key_of(Token left, Token right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  }

  std::size_t place(std::uint64_t key) const {
    std::size_t at = (key * 0x9E3779B97F4A7C15u) >> 20 & (slots_.size() - 1);
    while (slots_[at].merge.rank != kNoRank && slots_[at].key != key) {
      at = (at + 1) & (slots_.size() - 1);
    }
    return at;
  }

  std::vector<Slot> slots_;
};

// GPT-2's printable stand-ins: 188 bytes stand for themselves, the rest for U+0100 and up.
std::array<int, 0x144> byte_of_stand_in() {
  std::array<int, 0x144> bytes;
  bytes.fill(-1);
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    bytes[itself ? byte : next++] = byte;
  }
  return bytes;
}

// The bytes that a vocabulary entry stands for; false when it has other characters.
bool append_bytes(std::string_view entry, std::string& out) {
  static const std::array<int, 0x144> kBytes = byte_of_stand_in();
  for (std::size_t at = 0; at < entry.size();) {
    const CodePoint point = code_point_at(entry, at);
    if (!point.valid || point.value >= kBytes.size() || kBytes[point.value] < 0) return false;
    out += static_cast<char>(kBytes[point.value]);
    at += point.bytes;
  }
  return true;
}

// Byte-pair merging of one piece. Symbols are a linked list, candidate merges a heap ordered by
// rank, then position: n log n, where the textbook loop is quadratic on long pieces.
class Merger {
 public:
  Merger(const MergeTable& merges, const std::array<Token, 256>& byte_tokens)
      : merges_(merges), byte_tokens_(byte_tokens) {}

  void merge(std::string_view piece, std::vector<Token>& out) {
    assert(piece.size() < std::numeric_limits<int>::max());
    const int n = static_cast<int>(piece.size());
    symbols_.clear();
    for (int i = 0; i < n; ++i) {
      symbols_.push_back({byte_tokens_[static_cast<unsigned char>(piece[i])], i - 1, i + 1});
    }
    for (int i = 0; i + 1 < n; ++i) consider(i);
    while (!queue_.empty()) {
      const std::uint64_t top = queue_.top();
      queue_.pop();
      const int left = static_cast<int>(top & 0xFFFFFFFF);
      apply(left, static_cast<std::uint32_t>(top >> 32));
    }
    for (int i = 0; i < n; i = symbols_[i].next) out.push_back(symbols_[i].token);
  }

 private:
  struct Symbol {
    Token token;  // -1: merged into its left neighbour
    int previous;
    int next;
  };

  Merge merge_at(int left) const {
    const int right = symbols_[left].next;
    if (symbols_[left].token < 0 || right >= static_cast<int>(symbols_.size())) return {};
    return merges_.find(symbols_[left].token, symbols_[right].token);
  }

  void consider(int left) {
    const Merge merge = merge_at(left);
    if (merge.rank != kNoRank) queue_.push(static_cast<std::uint64_t>(merge.rank) << 32 | left);
  }

  // Does nothing when an earlier merge took one of the two: the pair has another rank then.
  void apply(int left, std::uint32_t rank) {
    const Merge merge = merge_at(left);
    if (merge.rank != rank) return;
    Symbol& symbol = symbols_[left];
    Symbol& right = symbols_[symbol.next];
    symbol.token = merge.result;
    symbol.next = right.next;
    right.token = -1;
    if (symbol.next < static_cast<int>(symbols_.size())) symbols_[symbol.next].previous = left;
    if (symbol.previous >= 0) consider(symbol.previous);
    consider(left);
  }

  const MergeTable& merges_;
  const std::array<Token, 256>& byte_tokens_;
  std::vector<Symbol> symbols_;
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> queue_;
};

}  // namespace

struct Tokenizer::Tables {
  explicit Tables(std::size_t n_merges) : merges(n_merges) {}

  PreSplit pre_split = nullptr;
  std::string arena;                   // the bytes of all tokens
  std::vector<std::uint32_t> starts;   // [vocab + 1] offsets into arena
  std::vector<bool> specials;          // [vocab]
  std::array<Token, 256> byte_tokens;  // the token of each single byte; -1: not in UTF-8
  bool lacks_bytes = false;
  MergeTable merges;
  std::map<std::string, Token, std::less<>> special_ids;
  std::vector<std::size_t> special_lengths;  // distinct, longest first
  std::bitset<256> special_starts;           // their first bytes
  Token bos = -1;
  Token eos = -1;

  mutable std::once_flag sorted_once;
  mutable SortedTokens sorted;

  void read_tokens(const GgufFile& file);
  void read_merges(const GgufFile& file);
  Token read_id(const GgufFile& file, const char* key) const;
  std::optional<Token> special_at(std::string_view text, std::size_t at) const;
};

namespace {

const std::vector<std::string_view>& required_strings(const GgufFile& file, const char* key) {
  const auto* strings = file.strings(key);
  if (!strings) throw ModelError(file.name() + ": key '" + key + "' is missing");
  return *strings;
}

}  // namespace

void Tokenizer::Tables::read_tokens(const GgufFile& file) {
  const auto& tokens = required_strings(file, "tokenizer.ggml.tokens");
  const auto* types = file.integers("tokenizer.ggml.token_type");
  if (types && types->size() != tokens.size()) {
    throw ModelError(file.name() + ": " + std::to_string(tokens.size()) + " tokens but " +
                     std::to_string(types->size()) + " token types");
  }
  byte_tokens.fill(-1);
  starts.push_back(0);
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const std::int64_t type = types ? (*types)[id] : kNormal;
    const bool named = type == kControl || type == kUserDefined;
    const bool special = named || type == kUnknown || type == kUnused;  // never out of plain text
    const std::size_t start = arena.size();
    if (special) {
      if (tokens[id].empty()) {
        throw ModelError(file.name() + ": special token " + std::to_string(id) + " is empty");
      }
      arena += tokens[id];
      if (named) special_ids.emplace(tokens[id], static_cast<Token>(id));
    } else if (!append_bytes(tokens[id], arena)) {
      throw ModelError(file.name() + ": token " + std::to_string(id) + " is not byte-level BPE");
    }
    if (!special && arena.size() == start + 1) {
      Token& of_byte = byte_tokens[static_cast<unsigned char>(arena.back())];
      if (of_byte < 0) of_byte = static_cast<Token>(id);
    }
    specials.push_back(special);
    starts.push_back(static_cast<std::uint32_t>(arena.size()));
  }
  for (int byte = 0; byte < 256; ++byte) {
    // Some vocabularies lack the bytes that UTF-8 does not use.
    const bool in_utf8 = byte < 0xC0 || (byte > 0xC1 && byte < 0xF5);
    if (byte_tokens[byte] < 0 && !in_utf8) lacks_bytes = true;
    if (byte_tokens[byte] < 0 && in_utf8) {
      throw ModelError(file.name() + ": the vocabulary has no token for byte " +
                       std::to_string(byte));
    }
  }
  for (const auto& [text, id] : special_ids) {
    special_lengths.push_back(text.size());
    special_starts.set(static_cast<unsigned char>(text[0]));
  }
  std::sort(special_lengths.begin(), special_lengths.end(), std::greater<>());
  special_lengths.erase(std::unique(special_lengths.begin(), special_lengths.end()),
                        special_lengths.end());
}

void Tokenizer::Tables::read_merges(const GgufFile& file) {
  std::unordered_map<std::string_view, Token> ids;
  for (std::size_t id = 0; id < specials.size(); ++id) {
    const auto bytes = std::string_view(arena).substr(starts[id], starts[id + 1] - starts[id]);
    if (!specials[id]) ids.emplace(bytes, static_cast<Token>(id));
  }
  const auto& lines = required_strings(file, "tokenizer.ggml.merges");
  std::string joined;
  for (std::size_t rank = 0; rank < lines.size(); ++rank) {
    const std::size_t space = lines[rank].find(' ');
    joined.clear();
    bool known =
        space != std::string_view::npos && append_bytes(lines[rank].substr(0, space), joined);
    const std::size_t middle = joined.size();
    known = known && append_bytes(lines[rank].substr(space + 1), joined);
    const auto find = [&](std::string_view bytes) {
      const auto found = ids.find(bytes);
      known = known && found != ids.end();
      return known ? found->second : -1;
    };
    const Token left = find(std::string_view(joined).substr(0, middle));
    const Token right = find(std::string_view(joined).substr(middle));
    const Token result = find(joined);
    if (!known) {
      throw ModelError(file.name() + ": merge " + std::to_string(rank) +
                       " names a token that is not in the vocabulary");
    }
    merges.insert(left, right, {static_cast<std::uint32_t>(rank), result});
  }
}

Token Tokenizer::Tables::read_id(const GgufFile& file, const char* key) const {
  const std::optional<std::int64_t> id = file.integer(key);
  if (!id) return -1;
  if (*id < 0 || *id >= static_cast<std::int64_t>(specials.size())) {
    throw ModelError(file.name() + ": key '" + key + "' is not a token of the vocabulary");
  }
  return static_cast<Token>(*id);
}

std::optional<Token> Tokenizer::Tables::special_at(std::string_view text, std::size_t at) const {
  if (!special_starts[static_cast<unsigned char>(text[at])]) return std::nullopt;
  for (std::size_t length : special_lengths) {
    if (length > text.size() - at) continue;
    const auto found = special_ids.find(text.substr(at, length));
    if (found != special_ids.end()) return found->second;
  }
  return std::nullopt;
}

Tokenizer::Tokenizer(std::unique_ptr<Tables> tables) : tables_(std::move(tables)) {}
Tokenizer::~Tokenizer() = default;

std::shared_ptr<const Tokenizer> Tokenizer::load(const GgufFile& file) {
  const std::optional<std::string> model = file.string("tokenizer.ggml.model");
  if (model == "none") return nullptr;
  if (model != "gpt2") {
    throw ModelError(file.name() + ": tokenizer '" + model.value_or("") +
                     "' is not supported; byte-level BPE ('gpt2') is");
  }
  const std::string pre = file.string("tokenizer.ggml.pre").value_or("default");
  auto tables = std::make_unique<Tables>(required_strings(file, "tokenizer.ggml.merges").size());
  tables->pre_split = pre_split_named(pre);
  if (!tables->pre_split) {
    throw ModelError(file.name() + ": pre-tokenizer '" + pre + "' is not supported; known are " +
                     pre_split_names());
  }
  tables->read_tokens(file);
  tables->read_merges(file);
  tables->bos = tables->read_id(file, "tokenizer.ggml.bos_token_id");
  tables->eos = tables->read_id(file, "tokenizer.ggml.eos_token_id");
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(tables)));
}

int Tokenizer::vocab_size() const {
  return static_cast<int>(tables_->specials.size());
}

Token Tokenizer::bos() const {
  return tables_->bos;
}

Token Tokenizer::eos() const {
  return tables_->eos;
}

std::vector<Token> Tokenizer::encode(std::string_view text) const {
  if (tables_->lacks_bytes && !is_utf8(text)) return encode(clean_utf8(text));
  std::vector<std::string_view> pieces;
  tables_->pre_split(text, pieces);
  Merger merger(tables_->merges, tables_->byte_tokens);
  std::vector<Token> out;
  out.reserve(text.size() / 3 + 1);
  for (std::string_view piece : pieces) merger.merge(piece, out);
  return out;
}

std::vector<Token> Tokenizer::encode_settled(std::string_view text) const {
  std::vector<std::string_view> pieces;
  tables_->pre_split(text, pieces);
  // What follows may lengthen the last piece, and white space before it may be cut anew.
  if (!pieces.empty()) pieces.pop_back();
  const auto is_white_space = [](std::string_view piece) {
    return piece.find_first_not_of(" \t\r\n") == piece.npos;
  };
  while (!pieces.empty() && is_white_space(pieces.back())) pieces.pop_back();
  Merger merger(tables_->merges, tables_->byte_tokens);
  std::vector<Token> out;
  for (std::string_view piece : pieces) merger.merge(piece, out);
  return out;
}

std::vector<Token> Tokenizer::encode_special(std::string_view text) const {
  Pieces pieces;
  std::size_t plain = 0, at = 0;
  const auto add_plain = [&] {
    if (at > plain) pieces.push_back({false, std::string(text.substr(plain, at - plain))});
  };
  while (at < text.size()) {
    const std::optional<Token> id = tables_->special_at(text, at);
    if (!id) {
      ++at;
      continue;
    }
    add_plain();
    pieces.push_back({true, std::string(bytes(*id))});
    at += bytes(*id).size();
    plain = at;
  }
  add_plain();
  return encode(pieces);
}

std::vector<Token> Tokenizer::encode(const Pieces& pieces) const {
  std::vector<Token> out;
  std::string plain;
  const auto flush = [&] {
    const std::vector<Token> tokens = encode(plain);
    out.insert(out.end(), tokens.begin(), tokens.end());
    plain.clear();
  };
  for (const Piece& piece : pieces) {
    if (!piece.special && piece.tokens.empty()) {
      plain += piece.text;
      continue;
    }
    flush();
    out.insert(out.end(), piece.tokens.begin(), piece.tokens.end());
    if (!piece.special) continue;
    const std::optional<Token> id = special(piece.text);
    if (!id) throw ModelError("the vocabulary has no special token '" + piece.text + "'");
    out.push_back(*id);
  }
  flush();
  return out;
}

std::string_view Tokenizer::bytes(Token token) const {
  assert(token >= 0 && token < vocab_size());
  const std::uint32_t start = tables_->starts[token];
  return std::string_view(tables_->arena).substr(start, tables_->starts[token + 1] - start);
}

bool Tokenizer::is_special(Token token) const {
  assert(token >= 0 && token < vocab_size());
  return tables_->specials[token];
}

std::string Tokenizer::decode(std::span<const Token> tokens) const {
  std::string text;
  for (Token token : tokens) text += bytes(token);
  return text;
}

std::optional<Token> Tokenizer::special(std::string_view text) const {
  const auto found = tables_->special_ids.find(text);
  if (found == tables_->special_ids.end()) return std::nullopt;
  return found->second;
}

const SortedTokens& Tokenizer::sorted() const {
  std::call_once(tables_->sorted_once, [this] {
    SortedTokens& sorted = tables_->sorted;
    for (Token token = 0; token < vocab_size(); ++token) {
      if (!is_special(token) && !bytes(token).empty()) sorted.tokens.push_back(token);
    }
    std::ranges::sort(sorted.tokens, {}, [this](Token token) { return bytes(token); });
    std::string_view before;
    for (Token token : sorted.tokens) {
      const std::string_view now = bytes(token);
      const auto differ = std::ranges::mismatch(before, now).in2;
      sorted.shared.push_back(static_cast<std::uint32_t>(differ - now.begin()));
      before = now;
    }
  });
  return tables_->sorted;
}

}  // namespace corvid::model
