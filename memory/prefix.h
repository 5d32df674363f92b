// Which of many texts begins most like a prompt: the one search for everything that holds KV state.
//
// Texts are offered one after the other. One that cannot beat those before it is known by a single
// token, so a search costs little more than reading the longest common prefix once, and at worst
// the prefixes of all: tests/bench/prefix_bench.cpp measures both. Free of state; any thread.
#pragma once

#include <span>

#include "model/chat.h"

namespace corvid::memory {

// How many tokens two texts begin with in common.
int common_prefix(std::span<const model::Token> a, std::span<const model::Token> b);

class PrefixSearch {
 public:
  explicit PrefixSearch(std::span<const model::Token> prompt) : prompt_(prompt) {}

  // Whether it has more in common with the prompt than all that were offered before.
  bool offer(std::span<const model::Token> text);
  int common() const { return common_; }  // of the best

 private:
  const std::span<const model::Token> prompt_;
  int common_ = 0;
};

}  // namespace corvid::memory
