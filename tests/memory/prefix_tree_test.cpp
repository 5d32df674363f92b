#include "memory/prefix_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <vector>

namespace corvid::memory {
namespace {

using Kind = PrefixTree::Kind;
using Tokens = std::vector<model::Token>;

// A text, and what the tree should make of it.
struct Known {
  Tokens tokens;
  std::uint64_t owner = 0;
  Kind kind = Kind::idle;
  std::uint64_t since = 0;
  PrefixTree::Text text;
};

// All texts, asked one after the other.
PrefixTree::Match expected(std::list<Known>& all, const Tokens& prompt, std::uint64_t owner,
                           Kind kind) {
  PrefixTree::Match best;
  const Known* chosen = nullptr;
  const auto rank = [&](const Known& known) {
    const int common = common_prefix(known.tokens, prompt);
    return std::tuple(common, common == std::ssize(known.tokens), known.since);
  };
  for (Known& known : all) {
    if (known.owner != owner || known.kind != kind) continue;
    if (common_prefix(known.tokens, prompt) == 0) continue;
    if (chosen && rank(known) < rank(*chosen)) continue;
    chosen = &known;
    best = {&known.text, common_prefix(known.tokens, prompt)};
  }
  return best;
}

class Trial {
 public:
  explicit Trial(unsigned seed, int longest) : random_(seed), longest_(longest) {}

  int below(int n) { return std::uniform_int_distribution(0, n - 1)(random_); }
  // Of two tokens, so that many begin alike; in runs, so that they do so for long.
  Tokens some(int most) {
    Tokens tokens;
    const int n = below(most + 1);
    while (std::ssize(tokens) < n) tokens.insert(tokens.end(), 1 + below(most), below(2));
    tokens.resize(static_cast<std::size_t>(n));
    return tokens;
  }
  Tokens like_one() {
    if (all_.empty() || below(4) == 0) return some(longest_);
    Tokens tokens = any().tokens;
    tokens.resize(static_cast<std::size_t>(below(static_cast<int>(tokens.size()) + 1)));
    const Tokens more = some(longest_ / 4);
    tokens.insert(tokens.end(), more.begin(), more.end());
    return tokens;
  }
  Known& any() { return *std::next(all_.begin(), below(static_cast<int>(all_.size()))); }
  Kind any_kind() { return static_cast<Kind>(below(PrefixTree::kKinds)); }

  void change() {
    const int what = all_.size() < 2 ? 0 : below(6);
    if (what == 0) {
      Tokens tokens = like_one();
      Known& known = all_.emplace_back();
      known.tokens = std::move(tokens);
      known.owner = static_cast<std::uint64_t>(below(2));
      known.kind = any_kind();
      known.since = ++clock_;
      known.text.join(tree_, known.owner, known.kind, known.tokens);
    } else if (what == 1 && all_.size() > 12) {
      all_.erase(std::next(all_.begin(), below(static_cast<int>(all_.size()))));
    } else if (what == 2) {
      Known& known = any();
      known.kind = any_kind();
      known.since = ++clock_;
      known.text.become(known.kind);
    } else if (what == 3) {
      Known& known = any();
      known.tokens.resize(
          static_cast<std::size_t>(below(static_cast<int>(known.tokens.size()) + 1)));
      known.text.rewind(static_cast<int>(known.tokens.size()));
    } else {
      Known& known = any();
      const Tokens more = some(what == 4 ? 1 : longest_);
      known.tokens.insert(known.tokens.end(), more.begin(), more.end());
      known.text.grow(more);
    }
  }
  void check() {
    const Tokens prompt = like_one();
    for (const std::uint64_t owner : {0, 1}) {
      const auto found = tree_.longest(prompt, owner);
      for (int kind = 0; kind < PrefixTree::kKinds; ++kind) {
        const auto right = expected(all_, prompt, owner, static_cast<Kind>(kind));
        ASSERT_EQ(found[kind].common, right.common);
        ASSERT_EQ(found[kind].text, right.text);
      }
    }
    for (const Known& known : all_) {
      ASSERT_EQ(known.text.size(), std::ssize(known.tokens));
      int common = 0;
      for (const Known& other : all_) {
        if (&other == &known || other.owner != known.owner) continue;
        common = std::max(common, common_prefix(known.tokens, other.tokens));
      }
      ASSERT_EQ(known.text.own_size(), std::ssize(known.tokens) - common);
    }
    ASSERT_LE(tree_.n_nodes(), 2 * std::ssize(all_) + 2);
  }
  void end() {
    all_.clear();
    EXPECT_EQ(tree_.n_nodes(), 0);
  }

 private:
  PrefixTree tree_;
  std::list<Known> all_;
  std::mt19937 random_;
  const int longest_;
  std::uint64_t clock_ = 0;
};

TEST(PrefixTree, WhateverJoinsGrowsIsCutOrLeavesItFindsWhatAskingAllWouldFind) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    Trial trial(seed, seed % 3 == 0 ? 600 : 12);
    for (int i = 0; i < 300; ++i) {
      trial.change();
      ASSERT_NO_FATAL_FAILURE(trial.check()) << "seed " << seed << ", change " << i;
    }
    trial.end();
  }
}

TEST(PrefixTree, OwnersFindNothingOfEachOther) {
  PrefixTree tree;
  PrefixTree::Text text;
  const Tokens tokens{1, 2, 3};
  text.join(tree, 7, Kind::idle, tokens);
  for (const auto& match : tree.longest(tokens, 8)) EXPECT_EQ(match.text, nullptr);
  EXPECT_EQ(tree.longest(tokens, 7)[0].text, &text);
}

TEST(PrefixTree, WhatTextsHaveInCommonIsKeptOnce) {
  PrefixTree tree;
  Tokens tokens(1000, 5);
  std::list<PrefixTree::Text> texts;
  for (int i = 0; i < 100; ++i) {
    tokens.back() = i;
    texts.emplace_back().join(tree, 0, Kind::on_disk, tokens);
  }
  EXPECT_EQ(tree.n_nodes(), 102);  // the root, what all begin with, and an end for each
}

}  // namespace
}  // namespace corvid::memory
