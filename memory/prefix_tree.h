// All that holds KV state, found by the longest prefix that it has in common with a prompt.
//
// A radix tree over tokens: what texts begin with in common is kept once, and a search reads the
// prompt once, however many there are. A prefix ends between any two tokens; the pages of KV state
// under it are shared by Context::fork. Who holds KV state derives from Text, which follows as that
// grows and is cut, and leaves with it. Owners have trees of their own: none finds what another
// holds. One thread at a time; the tree outlives its texts.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "model/chat.h"

namespace corvid::memory {

// How many tokens two texts begin with in common.
int common_prefix(std::span<const model::Token> a, std::span<const model::Token> b);

class PrefixTree {
 private:
  struct Node;

 public:
  enum class Kind { idle, in_use, on_disk };  // the first two are in memory
  static constexpr int kKinds = 3;

  class Text {
   public:
    Text() = default;  // in no tree
    Text(const Text&) = delete;
    ~Text();

    // Once, before all else.
    void join(PrefixTree& tree, std::uint64_t owner, Kind kind,
              std::span<const model::Token> tokens);
    void grow(std::span<const model::Token> more);
    void rewind(int n_tokens);  // at most size()
    void become(Kind kind);

    int size() const { return size_; }  // in tokens
    int own_size() const;               // of its end, that no other text has
    std::uint64_t owner() const { return owner_; }
    Kind kind() const { return kind_; }

   private:
    friend class PrefixTree;
    bool ends_alone() const;

    PrefixTree* tree_ = nullptr;
    Node* node_ = nullptr;  // at whose end it ends
    int size_ = 0;
    std::uint64_t owner_ = 0;
    Kind kind_ = Kind::idle;
    std::uint64_t since_ = 0;  // when it joined or became what it is; later is larger
  };

  PrefixTree();
  ~PrefixTree();

  struct Match {
    Text* text = nullptr;  // null: none begins as the prompt does
    int common = 0;
  };
  // Of each kind the text with the longest prefix of the prompt: of equals one that ends there, for
  // it can be gone on with as it is, else the latest.
  std::array<Match, kKinds> longest(std::span<const model::Token> prompt,
                                    std::uint64_t owner) const;

  int n_nodes() const;  // at most two for each text, and one for each owner

 private:
  static Node* insert(Node* from, std::span<const model::Token> tokens);
  static Node* split(Node& node, std::size_t n_tokens);
  static void merge_into_child(Node& node);
  static void tidy(Node* node);
  static void attach(Text& text, Node* node);
  static void detach(Text& text, Node* node);
  static void raise(Text& text);
  static void lower(const Text& text, Node* node, Kind was);

  std::map<std::uint64_t, std::unique_ptr<Node>> roots_;  // by owner
  std::uint64_t clock_ = 0;
};

}  // namespace corvid::memory
