#include "memory/prefix_tree.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>
#include <vector>

namespace corvid::memory {

using model::Token;

int common_prefix(std::span<const Token> a, std::span<const Token> b) {
  constexpr std::size_t kBlock = 256;  // compared at once, many times as fast as token by token
  const std::size_t size = std::min(a.size(), b.size());
  std::size_t n = 0;
  while (n + kBlock <= size && std::memcmp(&a[n], &b[n], kBlock * sizeof(Token)) == 0) n += kBlock;
  while (n < size && a[n] == b[n]) ++n;
  return static_cast<int>(n);
}

// Only the root has no edge. Every other node has a text that ends there, or two children.
struct PrefixTree::Node {
  Node* parent = nullptr;
  std::vector<Token> edge;                          // from the parent's end to this one's
  std::map<Token, std::unique_ptr<Node>> children;  // by the first token of their edges
  std::vector<Text*> texts;                         // that end here
  std::array<Text*, kKinds> latest{};               // of each kind, here and below

  void consider(Text* text, std::size_t kind) {
    Text*& best = latest[kind];
    if (text && (!best || best->since_ < text->since_)) best = text;
  }
  Text* latest_here(std::size_t kind) const {
    Text* best = nullptr;
    for (Text* text : texts) {
      if (static_cast<std::size_t>(text->kind_) != kind) continue;
      if (!best || best->since_ < text->since_) best = text;
    }
    return best;
  }
};

PrefixTree::PrefixTree() = default;

PrefixTree::~PrefixTree() {
  assert(roots_.empty());
}

std::array<PrefixTree::Match, PrefixTree::kKinds> PrefixTree::longest(std::span<const Token> prompt,
                                                                      std::uint64_t owner) const {
  std::array<Match, kKinds> matches;
  const auto root = roots_.find(owner);
  const Node* node = root == roots_.end() ? nullptr : root->second.get();
  std::size_t depth = 0;
  while (node && depth < prompt.size()) {
    const auto child = node->children.find(prompt[depth]);
    if (child == node->children.end()) break;
    node = child->second.get();
    const int n = common_prefix(node->edge, prompt.subspan(depth));
    depth += static_cast<std::size_t>(n);
    const bool whole = n == std::ssize(node->edge);
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      if (!node->latest[kind]) continue;
      Text* const here = whole ? node->latest_here(kind) : nullptr;
      matches[kind] = {here ? here : node->latest[kind], static_cast<int>(depth)};
    }
    if (!whole) break;
  }
  return matches;
}

int PrefixTree::n_nodes() const {
  std::vector<const Node*> open;
  for (const auto& [owner, root] : roots_) open.push_back(root.get());
  for (std::size_t i = 0; i < open.size(); ++i) {
    for (const auto& [token, child] : open[i]->children) open.push_back(child.get());
  }
  return static_cast<int>(open.size());
}

// --- Nodes. --------------------------------------------------------------------------------------

// The node that ends with these tokens behind `from`; made where it is missing.
PrefixTree::Node* PrefixTree::insert(Node* from, std::span<const Token> tokens) {
  while (!tokens.empty()) {
    std::unique_ptr<Node>& child = from->children[tokens[0]];
    if (!child) {
      child = std::make_unique<Node>();
      child->parent = from;
      child->edge.assign(tokens.begin(), tokens.end());
      return child.get();
    }
    const auto n = static_cast<std::size_t>(common_prefix(child->edge, tokens));
    from = n < child->edge.size() ? split(*child, n) : child.get();
    tokens = tokens.subspan(n);
  }
  return from;
}

// A new node in the midst of this one's edge; the node itself goes on behind it.
PrefixTree::Node* PrefixTree::split(Node& node, std::size_t n_tokens) {
  assert(n_tokens > 0 && n_tokens < node.edge.size());
  std::unique_ptr<Node>& place = node.parent->children.at(node.edge[0]);
  auto upper = std::make_unique<Node>();
  const auto middle = node.edge.begin() + static_cast<std::ptrdiff_t>(n_tokens);
  upper->parent = node.parent;
  upper->edge.assign(node.edge.begin(), middle);
  upper->latest = node.latest;
  node.edge.erase(node.edge.begin(), middle);
  node.parent = upper.get();
  upper->children.emplace(node.edge[0], std::move(place));
  place = std::move(upper);
  return place.get();
}

// The child takes the node's place. The node is gone.
void PrefixTree::merge_into_child(Node& node) {
  std::unique_ptr<Node> child = std::move(node.children.begin()->second);
  child->edge.insert(child->edge.begin(), node.edge.begin(), node.edge.end());
  child->parent = node.parent;
  node.parent->children.at(node.edge[0]) = std::move(child);
}

// Removes what no text needs, from here up.
void PrefixTree::tidy(Node* node) {
  while (node->parent && node->texts.empty() && node->children.size() < 2) {
    if (!node->children.empty()) return merge_into_child(*node);
    Node* const parent = node->parent;
    const Token first = node->edge[0];
    parent->children.erase(first);
    node = parent;
  }
}

// --- Texts. --------------------------------------------------------------------------------------

void PrefixTree::attach(Text& text, Node* node) {
  text.node_ = node;
  node->texts.push_back(&text);
  raise(text);
}

void PrefixTree::detach(Text& text, Node* node) {
  std::erase(node->texts, &text);
  lower(text, node, text.kind_);
  tidy(node);
}

void PrefixTree::raise(Text& text) {
  const auto kind = static_cast<std::size_t>(text.kind_);
  for (Node* node = text.node_; node; node = node->parent) node->consider(&text, kind);
}

// The text is not of this kind any more, or does not end at `node`: up to where that changes
// nothing.
void PrefixTree::lower(const Text& text, Node* node, Kind was) {
  const auto kind = static_cast<std::size_t>(was);
  for (; node && node->latest[kind] == &text; node = node->parent) {
    node->latest[kind] = node->latest_here(kind);
    for (const auto& [token, child] : node->children) node->consider(child->latest[kind], kind);
  }
}

void PrefixTree::Text::join(PrefixTree& tree, std::uint64_t owner, Kind kind,
                            std::span<const Token> tokens) {
  assert(!tree_);
  tree_ = &tree;
  owner_ = owner;
  kind_ = kind;
  since_ = ++tree.clock_;
  size_ = static_cast<int>(tokens.size());
  std::unique_ptr<Node>& root = tree.roots_[owner];
  if (!root) root = std::make_unique<Node>();
  attach(*this, insert(root.get(), tokens));
}

PrefixTree::Text::~Text() {
  if (!tree_) return;
  detach(*this, node_);
  const auto root = tree_->roots_.find(owner_);
  if (root->second->children.empty() && root->second->texts.empty()) tree_->roots_.erase(root);
}

// Whether the end of the edge belongs to nothing but this text.
bool PrefixTree::Text::ends_alone() const {
  return node_->parent && node_->children.empty() && node_->texts.size() == 1;
}

int PrefixTree::Text::own_size() const {
  return ends_alone() ? static_cast<int>(node_->edge.size()) : 0;
}

void PrefixTree::Text::grow(std::span<const Token> more) {
  size_ += static_cast<int>(more.size());
  if (more.empty()) return;
  Node* const old = node_;
  if (ends_alone()) {
    old->edge.insert(old->edge.end(), more.begin(), more.end());
    return;
  }
  attach(*this, insert(old, more));
  detach(*this, old);
}

void PrefixTree::Text::rewind(int n_tokens) {
  assert(n_tokens >= 0 && n_tokens <= size_);
  if (n_tokens == size_) return;
  Node* const old = node_;
  Node* node = old;
  int begin = size_ - static_cast<int>(node->edge.size());
  size_ = n_tokens;
  if (ends_alone() && n_tokens > begin) {
    return old->edge.resize(static_cast<std::size_t>(n_tokens - begin));
  }
  while (n_tokens < begin) {
    node = node->parent;
    begin -= static_cast<int>(node->edge.size());
  }
  const auto kept = static_cast<std::size_t>(n_tokens - begin);
  if (kept == 0) {
    node = node->parent;
  } else if (kept < node->edge.size()) {
    node = split(*node, kept);
  }
  attach(*this, node);
  detach(*this, old);
}

void PrefixTree::Text::become(Kind kind) {
  since_ = ++tree_->clock_;
  const Kind was = std::exchange(kind_, kind);
  if (was != kind) lower(*this, node_, was);
  raise(*this);
}

}  // namespace corvid::memory
