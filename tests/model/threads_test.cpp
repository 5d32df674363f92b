#include "model/compute/cpu/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace corvid::model {
namespace {

TEST(Team, CallsEveryPieceOnceInEveryJob) {
  for (int threads : {1, 2, 3, 5}) {
    Team team(threads);
    EXPECT_EQ(team.size(), threads);
    for (int n : {0, 1, 2, 3, 7, 64, 5, 1000, 2}) {
      std::vector<std::atomic<int>> calls(n);
      std::atomic<bool> bad_thread = false;
      team.each(n, [&](int i, int thread) {
        ++calls[i];
        if (thread < 0 || thread >= threads) bad_thread = true;
      });
      for (const auto& count : calls) EXPECT_EQ(count, 1);
      EXPECT_FALSE(bad_thread);
    }
  }
}

TEST(Team, ManySmallJobsInARowNeverMixUp) {
  Team team(4);
  for (int job = 0; job < 20000; ++job) {
    const int n = 2 + job % 5;
    std::atomic<int> sum = 0;
    team.each(n, [&](int i, int) { sum += job + i; });
    ASSERT_EQ(sum, n * job + n * (n - 1) / 2);
  }
}

TEST(Team, ThePiecesOfTheCallerSeeWhatOtherThreadsWroteBefore) {
  Team team(3);
  std::vector<int> values(4096, 0);  // not atomic: the end of each() is a barrier
  for (int round = 1; round <= 200; ++round) {
    team.each(4096, [&](int i, int) { values[i] += 1; });
    team.each(4096, [&](int i, int) { values[i] += values[i] == round ? 0 : 100000; });
  }
  for (int value : values) ASSERT_EQ(value, 200);
}

TEST(Pieces, ShrinkAndLeaveNothing) {
  Pieces pieces = Pieces::shrinking(128, 2, 4);
  std::vector<int> sizes;
  for (int left = 128; left > 0; left -= sizes.back()) sizes.push_back(pieces.next(left));
  EXPECT_EQ(sizes, (std::vector<int>{48, 30, 18, 12, 7, 4, 4, 4, 1}));
}

TEST(Pieces, GoOnBehindTheEndOfARun) {
  Pieces pieces = Pieces::shrinking(128, 2, 4);
  EXPECT_EQ(pieces.next(40), 40);
  EXPECT_EQ(pieces.next(88), 8);
  EXPECT_EQ(pieces.next(80), 30);
  Pieces even = Pieces::even(8);
  EXPECT_EQ(even.next(20), 8);
  EXPECT_EQ(even.next(4), 4);
  EXPECT_EQ(even.next(20), 8);
}

}  // namespace
}  // namespace corvid::model
