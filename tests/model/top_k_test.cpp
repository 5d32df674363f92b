#include "model/compute/cpu/top_k.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace corvid::model {
namespace {

std::vector<int> by_sorting(const std::vector<float>& scores, int k) {
  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int a, int b) { return scores[a] > scores[b]; });
  order.resize(k);
  std::ranges::sort(order);
  return order;
}

TEST(TopK, EqualsAStableSortForAnyScores) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    const int n = 1 + static_cast<int>(random() % 700);
    std::vector<float> scores(n);
    std::normal_distribution<float> normal;
    for (float& score : scores) {
      score = normal(random);
      if (round % 3 == 0) score = std::round(score * 2);  // many ties, of both signs
      if (round % 7 == 0) score *= 1e-38f;
    }
    std::vector<int> kept(1 + random() % n);
    top_k(scores, kept);
    EXPECT_EQ(kept, by_sorting(scores, static_cast<int>(kept.size())));
  }
}

TEST(TopK, ScoresThatAreNoNumbersComeLast) {
  const std::vector<float> scores = {NAN, -INFINITY, 1, NAN, INFINITY, -5};
  std::vector<int> kept(4);
  top_k(scores, kept);
  EXPECT_EQ(kept, (std::vector<int>{1, 2, 4, 5}));
}

TEST(TopK, KeepsTheLowerPositionsOfEqualScores) {
  const std::vector<float> scores(100, 0.0f);
  std::vector<int> kept(3);
  top_k(scores, kept);
  EXPECT_EQ(kept, (std::vector<int>{0, 1, 2}));
}

}  // namespace
}  // namespace corvid::model
