// What it costs a request to find the longest prefix of its prompt among everything that holds KV
// state, and what it costs to keep that up: for few texts and for many, as conversations are, which
// begin alike and part, and where each has a little more in common than the one before.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <list>
#include <numeric>
#include <vector>

#include "memory/prefix_tree.h"

namespace {

using namespace corvid;
using Text = std::vector<model::Token>;
using memory::PrefixTree;

// Of this thread alone, whatever else the machine does.
double now_us() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}

constexpr int kTokens = 100'000;
constexpr int kRuns = 51;

template <typename Work>
double median_us(Work work) {
  std::vector<double> times;
  for (int run = 0; run < kRuns; ++run) {
    const double start = now_us();
    work();
    times.push_back(now_us() - start);
  }
  std::ranges::nth_element(times, times.begin() + kRuns / 2);
  return times[kRuns / 2];
}

// Texts that leave the prompt at the given places, and go on in their own way for 100 tokens.
void measure(const char* what, const Text& prompt, int n_texts, int first, int step) {
  PrefixTree tree;
  std::list<PrefixTree::Text> texts;
  Text text;
  for (int i = 0; i < n_texts; ++i) {
    text.assign(prompt.begin(), prompt.begin() + first + i * step);
    text.resize(text.size() + 100, -1 - i);
    texts.emplace_back().join(tree, 0, PrefixTree::Kind::idle, text);
  }
  int common = 0;
  const double search = median_us([&] { common = tree.longest(prompt, 0)[0].common; });
  const double token = median_us([&] { texts.back().grow(std::span(prompt).first(1)); });
  const double join = median_us([&] {
    PrefixTree::Text one;
    one.join(tree, 0, PrefixTree::Kind::in_use, prompt);
  });
  std::printf(
      "%s, %d texts: search %.0f us (%d tokens in common), one more token %.2f us, to join and "
      "leave %.0f us\n",
      what, n_texts, search, common, token, join);
}

}  // namespace

int main() {
  Text prompt(kTokens);
  std::iota(prompt.begin(), prompt.end(), 0);
  for (const int n : {64, 4096}) measure("all begin with the same 90,000", prompt, n, 90'000, 0);
  measure("each has 150 more in common", prompt, 64, 90'000, 150);
  measure("each has 2 more in common", prompt, 4096, 90'000, 2);
}
