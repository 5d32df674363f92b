// What it costs a request to find the context with the longest prefix of its prompt, among many
// long ones: as conversations are, which begin alike and part, and at worst.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <vector>

#include "memory/prefix.h"

namespace {

using namespace corvid;
using Text = std::vector<model::Token>;

// Of this thread alone, whatever else the machine does.
double now_us() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}

constexpr int kTexts = 64;
constexpr int kTokens = 100'000;
constexpr int kRuns = 50;

// Texts that leave the prompt at the given places.
std::vector<Text> texts_that_part(const Text& prompt, int first, int step) {
  std::vector<Text> texts(kTexts, prompt);
  for (int i = 0; i < kTexts; ++i) {
    const auto at = texts[static_cast<std::size_t>(i)].begin() + first + i * step;
    std::fill(at, texts[static_cast<std::size_t>(i)].end(), -1);
  }
  return texts;
}

void measure(const char* what, const Text& prompt, const std::vector<Text>& texts) {
  std::vector<double> times;
  int common = 0;
  for (int run = 0; run < kRuns; ++run) {
    const double start = now_us();
    memory::PrefixSearch search(prompt);
    for (const Text& text : texts) search.offer(text);
    times.push_back(now_us() - start);
    common = search.common();
  }
  std::ranges::nth_element(times, times.begin() + kRuns / 2);
  std::printf("%s: %.0f us (%d texts of %d tokens, %d in common)\n", what, times[kRuns / 2], kTexts,
              kTokens, common);
}

}  // namespace

int main() {
  Text prompt(kTokens);
  std::iota(prompt.begin(), prompt.end(), 0);
  measure("all begin with the same 90,000", prompt, texts_that_part(prompt, 90'000, 0));
  measure("each a little longer than the one before", prompt, texts_that_part(prompt, 90'000, 150));
}
