#include "tools/toolbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <memory>
#include <string>

#include "sandbox/files.h"
#include "tests/tools/workshop.h"

namespace corvid::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kAnyArguments =
    R"({"type":"object","properties":{"n":{"type":"integer"}},"additionalProperties":false})";

// A tool made of a function.
class TestTool : public Tool {
 public:
  using Body = std::function<asio::awaitable<ToolResult>(ToolCall, ToolContext&)>;
  TestTool(std::string name, Body body, bool read_only = false)
      : spec_({std::move(name), "A test.", kAnyArguments}),
        body_(std::move(body)),
        read_only_(read_only) {}
  const ToolSpec& spec() const override { return spec_; }
  bool read_only() const override { return read_only_; }
  asio::awaitable<ToolResult> call(ToolCall call, ToolContext& context) override {
    return body_(std::move(call), context);
  }

 private:
  ToolSpec spec_;
  Body body_;
  bool read_only_;
};

class NoSandbox : public sandbox::Sandbox {
 public:
  const sandbox::Policy& policy() const override { return policy_; }
  const std::vector<sandbox::Rung>& rungs() const override { return rungs_; }
  asio::awaitable<sandbox::Process> start(sandbox::ProcessSpec) override { std::abort(); }

 private:
  sandbox::Policy policy_;
  std::vector<sandbox::Rung> rungs_;
};

asio::awaitable<ToolResult> echo(ToolCall call, ToolContext&) {
  co_return ToolResult{call.id, "ran " + call.arguments, false};
}

asio::awaitable<ToolResult> throw_up(ToolCall, ToolContext&) {
  throw std::runtime_error("the disk is on fire");
  co_return ToolResult{};
}

asio::awaitable<ToolResult> say_bytes(ToolCall call, ToolContext&) {
  co_return ToolResult{call.id, "caf\xE9", false};
}

asio::awaitable<ToolResult> flood(ToolCall call, ToolContext&) {
  co_return ToolResult{call.id, "start" + std::string(1 << 20, 'x') + "end", false};
}

asio::awaitable<ToolResult> wait_forever(ToolCall call, ToolContext&) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_at(asio::steady_timer::time_point::max());
  co_await timer.async_wait(asio::use_awaitable);
  co_return ToolResult{call.id, "never", false};
}

class ToolboxTest : public testing::Test {
 protected:
  std::vector<ToolResult> run(std::vector<ToolCall> calls) {
    return finish(io_, toolbox_.run(std::move(calls), context_, observer_));
  }
  // Runs until every started coroutine waits, then interrupts.
  std::vector<ToolResult> run_and_interrupt(std::vector<ToolCall> calls) {
    asio::cancellation_signal signal;
    std::optional<std::vector<ToolResult>> results;
    asio::co_spawn(io_, toolbox_.run(std::move(calls), context_, observer_),
                   asio::bind_cancellation_slot(
                       signal.slot(), [&](std::exception_ptr, std::vector<ToolResult> got) {
                         results = std::move(got);
                       }));
    io_.restart();
    while (io_.poll() > 0) {
    }
    signal.emit(asio::cancellation_type::terminal);
    io_.restart();
    io_.run();
    return results.value();
  }

  asio::io_context io_;
  asio::thread_pool pool_{1};
  NoSandbox sandbox_;
  sandbox::Policy policy_;
  // No tool here touches files, so the reference is never followed.
  ToolContext context_{sandbox_, reinterpret_cast<const sandbox::Files&>(policy_), pool_, ""};
  Toolbox toolbox_;
  Toolbox::Observer observer_;
};

TEST_F(ToolboxTest, EveryCallHasOneResultInTheOrderOfTheCalls) {
  toolbox_.add(std::make_unique<TestTool>("echo", echo));
  toolbox_.add(std::make_unique<TestTool>("burn", throw_up));
  const auto results = run({{"1", "echo", "{}"},
                            {"2", "burn", "{}"},
                            {"3", "Echo", "{}"},
                            {"4", "echo", R"({"n":"x"})"},
                            {"5", "echo", "{"},
                            {"6", "echo", R"({"n":1})"}});
  ASSERT_EQ(results.size(), 6u);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(results[i].call_id, std::to_string(i + 1));
  EXPECT_EQ(results[0].text, "ran {}");
  EXPECT_EQ(results[1].text, "Error: `burn` failed: the disk is on fire");
  EXPECT_EQ(results[2].text, "Error: there is no tool named `Echo`. The tools are: echo, burn.");
  EXPECT_THAT(results[3].text, HasSubstr("`n` must be of type integer, not string"));
  EXPECT_THAT(results[4].text, HasSubstr("not valid JSON"));
  EXPECT_EQ(results[5].text, "ran {\"n\":1}");
  EXPECT_FALSE(results[5].is_error);
  for (int i = 1; i < 5; ++i) EXPECT_TRUE(results[i].is_error) << i;
}

TEST_F(ToolboxTest, ACallWhoseArgumentsWereNoJsonIsAnsweredAndNotRun) {
  toolbox_.add(std::make_unique<TestTool>("echo", echo));
  const auto results = run({{"1", "echo", "{}", "Argument `n` is not JSON."}});
  EXPECT_EQ(results[0].text, "Error: `echo` was not run. Argument `n` is not JSON.");
}

TEST_F(ToolboxTest, ResultsAreValidTextWithinTheBudget) {
  toolbox_.add(std::make_unique<TestTool>("bytes", say_bytes));
  toolbox_.add(std::make_unique<TestTool>("flood", flood));
  const auto results = run({{"1", "bytes", "{}"}, {"2", "flood", "{}"}});
  EXPECT_EQ(results[0].text, "caf\\xe9");
  EXPECT_LE(results[1].text.size(), context_.result_budget_bytes);
  EXPECT_TRUE(results[1].text.starts_with("start"));
  EXPECT_TRUE(results[1].text.ends_with("end"));
}

TEST_F(ToolboxTest, AnInterruptAnswersTheRunningCallAndTheOnesBehindIt) {
  std::vector<std::string> finished;
  observer_.finished = [&](const ToolCall& call, const ToolResult&) -> asio::awaitable<void> {
    finished.push_back(call.id);
    co_return;
  };
  toolbox_.add(std::make_unique<TestTool>("echo", echo));
  toolbox_.add(std::make_unique<TestTool>("wait", wait_forever));
  const auto results =
      run_and_interrupt({{"1", "echo", "{}"}, {"2", "wait", "{}"}, {"3", "echo", "{}"}});
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].text, "ran {}");
  EXPECT_THAT(results[1].text, HasSubstr("interrupted before it finished"));
  EXPECT_THAT(results[2].text, HasSubstr("not run"));
  EXPECT_THAT(finished, ElementsAre("1", "2", "3"));
}

TEST_F(ToolboxTest, CallsThatOnlyReadRunSideBySideAndOthersAlone) {
  std::vector<std::string> running;
  std::vector<std::size_t> most;
  const auto body = [&](ToolCall call, ToolContext&) -> asio::awaitable<ToolResult> {
    running.push_back(call.id);
    co_await asio::post(io_, asio::use_awaitable);
    most.push_back(running.size());
    co_await asio::post(io_, asio::use_awaitable);
    std::erase(running, call.id);
    co_return ToolResult{call.id, call.id, false};
  };
  toolbox_.add(std::make_unique<TestTool>("look", body, /*read_only=*/true));
  toolbox_.add(std::make_unique<TestTool>("change", body));
  const auto results = run({{"1", "look", "{}"},
                            {"2", "look", "{}"},
                            {"3", "change", "{}"},
                            {"4", "change", "{}"},
                            {"5", "look", "{}"}});
  EXPECT_THAT(most, ElementsAre(2u, 2u, 1u, 1u, 1u));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(results[i].text, std::to_string(i + 1));
}

TEST_F(ToolboxTest, AnInterruptReachesEveryCallThatRunsSideBySide) {
  toolbox_.add(std::make_unique<TestTool>("wait", wait_forever, /*read_only=*/true));
  const auto results = run_and_interrupt({{"1", "wait", "{}"}, {"2", "wait", "{}"}});
  ASSERT_EQ(results.size(), 2u);
  for (const ToolResult& result : results) EXPECT_THAT(result.text, HasSubstr("interrupted"));
}

// Whoever runs what it is given runs all of it.
TEST_F(ToolboxTest, OneTurnRunsABoundedNumberOfCalls) {
  int n_run = 0;
  const auto count = [&](ToolCall call, ToolContext&) -> asio::awaitable<ToolResult> {
    ++n_run;
    co_return ToolResult{call.id, "ran", false};
  };
  TestTool alone("count", count);
  const std::vector<ToolCall> calls(100'000, ToolCall{"x", "count", "{}"});
  for (int i = 0; i < 1000; ++i) finish(io_, alone.call(calls[i], context_));
  EXPECT_EQ(n_run, 1000) << "no harm shown";
  n_run = 0;
  toolbox_.add(std::make_unique<TestTool>("count", count));
  const auto results = run(calls);
  ASSERT_EQ(results.size(), 100'000u);
  EXPECT_EQ(n_run, 64);
  EXPECT_EQ(results[63].text, "ran");
  EXPECT_THAT(results[64].text, HasSubstr("more than 64 calls in one turn"));
}

// Whoever takes the nearest name runs what was not called; whoever takes the last of a name runs
// a stranger's tool.
TEST_F(ToolboxTest, OnlyTheToolOfExactlyThisNameIsRun) {
  std::string ran;
  const auto named = [&](std::string name, std::string who) {
    return std::make_unique<TestTool>(
        name, [&ran, who](ToolCall call, ToolContext&) -> asio::awaitable<ToolResult> {
          ran += who;
          co_return ToolResult{call.id, who, false};
        });
  };
  std::map<std::string, std::unique_ptr<TestTool>> loose;  // lower case, and the last one counts
  for (const char* who : {"ours", "stranger"}) loose["shell"] = named("shell", who);
  finish(io_, loose.at("shell")->call({"1", "Shell", "{}"}, context_));
  EXPECT_EQ(ran, "stranger") << "no harm shown";
  ran.clear();
  toolbox_.add(named("shell", "ours"));
  EXPECT_THROW(toolbox_.add(named("shell", "stranger")), std::invalid_argument);
  for (const char* name : {"Shell", "shel", "shell ", "mcp__x__shell", ""}) {
    EXPECT_THAT(run({{"1", name, "{}"}})[0].text, HasSubstr("The tools are: shell.")) << name;
  }
  EXPECT_EQ(ran, "");
  run({{"1", "shell", "{}"}});
  EXPECT_EQ(ran, "ours");
}

TEST_F(ToolboxTest, AHookMayDenyACallOrChangeItsArgumentsAndItsResult) {
  toolbox_.add(std::make_unique<TestTool>("echo", echo));
  toolbox_.add(std::make_unique<TestTool>("burn", throw_up));
  context_.hook = [](std::string_view when, std::string json) -> asio::awaitable<std::string> {
    if (json.find("burn") != std::string::npos) co_return R"({"deny":"too hot"})";
    if (when == "before_call") co_return R"({"arguments":{"n":7}})";
    co_return R"({"result":"after: 7"})";
  };
  const auto results = run({{"1", "echo", "{}"}, {"2", "burn", "{}"}});
  EXPECT_EQ(results[0].text, "after: 7");
  EXPECT_EQ(results[1].text, "Error: denied: too hot");
}

TEST_F(ToolboxTest, TwoToolsOfOneNameAreABug) {
  toolbox_.add(std::make_unique<TestTool>("echo", echo));
  EXPECT_THROW(toolbox_.add(std::make_unique<TestTool>("echo", echo)), std::invalid_argument);
}

}  // namespace
}  // namespace corvid::tools
