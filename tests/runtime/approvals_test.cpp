// Who is asked, how often, and what is remembered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/approvals.h"
#include "tests/tools/workshop.h"

namespace corvid::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ApprovalsTest : public testing::Test {
 protected:
  bool allowed(const std::string& key) {
    return tools::finish(io_, approvals_.decide({"do " + key, key, "--allow-" + key})).allowed;
  }
  void answer_with(Approvals::Answer answer) {
    approvals_.ask_with([this, answer](tools::Request request) { return note(request, answer); });
  }
  asio::awaitable<Approvals::Answer> note(tools::Request request, Approvals::Answer answer) {
    asked_.push_back(request.what);
    EXPECT_EQ(++asking_, 1) << "one question at a time";
    asio::steady_timer moment(io_, std::chrono::milliseconds(1));
    co_await moment.async_wait(asio::use_awaitable);
    --asking_;
    co_return answer;
  }

  asio::io_context io_;
  Approvals approvals_{io_.get_executor()};
  std::vector<std::string> asked_;
  int asking_ = 0;
};

TEST_F(ApprovalsTest, WhereNobodyCanBeAskedTheAnswerIsNoAndNamesTheFlag) {
  const auto verdict = tools::finish(io_, approvals_.decide({"write /x", "x", "--writable /"}));
  EXPECT_FALSE(verdict.allowed);
  EXPECT_THAT(verdict.why, HasSubstr("`--writable /`"));
}

asio::awaitable<std::optional<std::string>> say(std::optional<std::string> line) {
  co_return line;
}

TEST_F(ApprovalsTest, AQuestionIsAnsweredWithALineOrNotAtAll) {
  const tools::Request question{"Your name", {}, {}, /*wants_text=*/true};
  answer_with(Approvals::Answer::once);
  EXPECT_FALSE(tools::finish(io_, approvals_.decide(question)).allowed) << "nobody types here";
  EXPECT_TRUE(asked_.empty());
  approvals_.read_with([](const tools::Request&) { return say("Odin"); });
  EXPECT_EQ(tools::finish(io_, approvals_.decide(question)).text, "Odin");
  approvals_.read_with([](const tools::Request&) { return say(std::nullopt); });
  EXPECT_FALSE(tools::finish(io_, approvals_.decide(question)).allowed);
}

TEST_F(ApprovalsTest, OnceIsForgotten) {
  answer_with(Approvals::Answer::once);
  EXPECT_TRUE(allowed("a"));
  answer_with(Approvals::Answer::no);
  EXPECT_FALSE(allowed("a"));
  EXPECT_THAT(asked_, ElementsAre("do a", "do a"));
}

TEST_F(ApprovalsTest, AlwaysIsRememberedForThisKeyOnly) {
  answer_with(Approvals::Answer::always);
  EXPECT_TRUE(allowed("a"));
  answer_with(Approvals::Answer::no);
  EXPECT_TRUE(allowed("a"));
  EXPECT_FALSE(allowed("b"));
  EXPECT_THAT(asked_, ElementsAre("do a", "do b"));
}

TEST_F(ApprovalsTest, NeverIsRememberedForThisKeyOnly) {
  answer_with(Approvals::Answer::never);
  EXPECT_FALSE(allowed("a"));
  answer_with(Approvals::Answer::once);
  EXPECT_FALSE(allowed("a"));
  EXPECT_TRUE(allowed("b"));
  EXPECT_THAT(asked_, ElementsAre("do a", "do b"));
  const auto verdict = tools::finish(io_, approvals_.decide({"do a", "a", ""}));
  EXPECT_THAT(verdict.why, HasSubstr("never"));
}

TEST_F(ApprovalsTest, OneQuestionAtATimeAndNoneThatIsAnsweredMeanwhile) {
  answer_with(Approvals::Answer::always);
  int done = 0;
  for (const char* key : {"a", "a", "b"}) {
    asio::co_spawn(io_, approvals_.decide({key, key, ""}),
                   [&](std::exception_ptr error, tools::Verdict verdict) {
                     EXPECT_FALSE(error);
                     EXPECT_TRUE(verdict.allowed);
                     ++done;
                   });
  }
  while (done < 3) io_.run_one();
  EXPECT_THAT(asked_, ElementsAre("a", "b"));
}

}  // namespace
}  // namespace corvid::runtime
