#include "memory/journal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "memory/error.h"
#include "tests/scratch_folder.h"

namespace corvid::memory {
namespace {

SessionHeader header(std::string workspace = "/w") {
  return {std::move(workspace), "built-in", "abc", "deepseek-v3.2/1", "{}",
          ~std::uint64_t{0},    "system",   "[]"};
}

Step prompt(const std::string& text) {
  return {.kind = Step::Kind::prompt, .json = R"({"text": ")" + text + R"("})"};
}

TEST(Journal, GivesBackWhatWasAppended) {
  ScratchFolder folder;
  std::string id;
  {
    auto journal = Journal::open(folder / "sessions.db");
    id = journal->create(header());
    EXPECT_EQ(journal->append(id, prompt(R"(count\nthe files)")), 1);
    Step turn{.kind = Step::Kind::turn, .json = "{}", .tokens = {0, 1, 128798, 2147483647, -1}};
    EXPECT_EQ(journal->append(id, turn), 2);
  }
  auto journal = Journal::open(folder / "sessions.db");
  const std::vector<Step> steps = journal->steps(id);
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].kind, Step::Kind::prompt);
  EXPECT_EQ(steps[0].json, R"({"text": "count\nthe files"})");
  EXPECT_GT(steps[0].at_ms, 0);
  EXPECT_EQ(steps[1].seq, 2);
  EXPECT_EQ(steps[1].tokens, (std::vector<model::Token>{0, 1, 128798, 2147483647, -1}));

  const auto info = journal->find(id);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->title, "count");
  EXPECT_EQ(info->steps, 2);
  EXPECT_EQ(info->header.seed, ~std::uint64_t{0});
  EXPECT_EQ(info->header.system, "system");
}

TEST(Journal, FindsByPrefixAndListsTheLastUsedFirst) {
  ScratchFolder folder;
  auto journal = Journal::open(folder / "sessions.db");
  EXPECT_FALSE(journal->find(""));
  const std::string first = journal->create(header("/1"));
  const std::string second = journal->create(header("/2"));
  EXPECT_EQ(journal->find("")->id, second);
  Step later = prompt("again");
  later.at_ms = journal->find(second)->updated_ms + 1;
  journal->append(first, later);
  EXPECT_EQ(journal->find("")->id, first);
  EXPECT_EQ(journal->find(second.substr(0, 7))->header.workspace, "/2");
  EXPECT_FALSE(journal->find("%"));
  EXPECT_FALSE(journal->find("zzzz0000zzzz"));
  ASSERT_EQ(journal->list(10).size(), 2u);
  EXPECT_EQ(journal->list(1).at(0).id, first);
}

TEST(Journal, NamesTheCandidatesOfAnAmbiguousPrefix) {
  ScratchFolder folder;
  auto journal = Journal::open(folder / "sessions.db");
  for (int i = 0; i < 33; ++i) journal->create(header());  // 32 first characters
  int ambiguous = 0;
  for (const SessionInfo& info : journal->list(40)) {
    try {
      journal->find(info.id.substr(0, 1));
    } catch (const MemoryError& error) {
      ++ambiguous;
      EXPECT_NE(std::string(error.what()).find(info.id), std::string::npos);
    }
  }
  EXPECT_GE(ambiguous, 2);
}

TEST(Journal, RefusesAStepThatIsNotTheNext) {
  ScratchFolder folder;
  auto journal = Journal::open(folder / "sessions.db");
  const std::string id = journal->create(header());
  Step step = prompt("one");
  step.seq = 1;
  EXPECT_EQ(journal->append(id, step), 1);
  EXPECT_THROW(journal->append(id, step), MemoryError);
  EXPECT_EQ(journal->steps(id).size(), 1u);
  EXPECT_THROW(journal->append("nobody", prompt("x")), MemoryError);
}

TEST(Journal, TwoWritersWaitForEachOther) {
  ScratchFolder folder;
  auto journal = Journal::open(folder / "sessions.db");
  const std::string id = journal->create(header());
  std::jthread other([&] {
    auto mine = Journal::open(folder / "sessions.db");
    for (int i = 0; i < 50; ++i) mine->append(id, prompt("other"));
  });
  for (int i = 0; i < 50; ++i) journal->append(id, prompt("one"));
  other.join();
  const std::vector<Step> steps = journal->steps(id);
  ASSERT_EQ(steps.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(steps[i].seq, i + 1);
}

// A child appends and reports each step that append() returned from; it is killed at some moment.
TEST(Journal, KillLosesNothingThatWasReported) {
  ScratchFolder folder;
  std::string id;
  id = Journal::open(folder / "sessions.db")->create(header());
  std::int64_t on_disk = 0;
  for (int round = 0; round < 5; ++round) {
    int report[2];
    ASSERT_EQ(pipe(report), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto journal = Journal::open(folder / "sessions.db");
      for (;;) {
        const std::int64_t seq = journal->append(id, prompt(std::string(5000, 'x')));
        if (write(report[1], &seq, sizeof seq) != sizeof seq) _exit(1);
      }
    }
    close(report[1]);
    std::int64_t reported = 0;
    for (int i = 0; i < 7 + 13 * round; ++i) {
      ASSERT_EQ(read(report[0], &reported, sizeof reported), ssize_t{sizeof reported});
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (std::int64_t seq; read(report[0], &seq, sizeof seq) == sizeof seq;) reported = seq;
    close(report[0]);

    auto journal = Journal::open(folder / "sessions.db");
    const std::vector<Step> steps = journal->steps(id);
    const std::int64_t found = static_cast<std::int64_t>(steps.size());
    EXPECT_GE(found, reported);
    EXPECT_LE(found, reported + 1);
    EXPECT_GT(found, on_disk);
    on_disk = found;
    for (std::int64_t i = 0; i < found; ++i) ASSERT_EQ(steps[i].seq, i + 1);
    EXPECT_EQ(journal->find(id)->steps, found);
  }
}

}  // namespace
}  // namespace corvid::memory
