#include "runtime/session.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>

#include "memory/error.h"
#include "memory/journal.h"
#include "runtime/record.h"
#include "sandbox/files.h"
#include "tests/runtime/scripted_dialogue.h"
#include "tests/scratch_folder.h"

namespace corvid::runtime {
namespace {

// Answers with its text argument; "hang" waits until it is cancelled; "throw" throws.
class Echo : public tools::Tool {
 public:
  const model::ToolSpec& spec() const override { return spec_; }
  asio::awaitable<model::ToolResult> call(model::ToolCall call, tools::ToolContext&) override {
    if (call.arguments.find("hang") != std::string::npos) {
      if (on_hang) on_hang();
      asio::steady_timer forever(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
      co_await forever.async_wait(asio::use_awaitable);
    }
    if (call.arguments.find("throw") != std::string::npos) throw std::runtime_error("tool broke");
    co_return model::ToolResult{call.id, "echo " + call.arguments + reply_tail, false};
  }
  std::function<void()> on_hang;
  std::string reply_tail;

 private:
  model::ToolSpec spec_{
      "echo", "Echoes.",
      R"({"type":"object","properties":{"text":{"type":"string"}},"required":["text"]})"};
};

// A hook that is never content.
asio::awaitable<std::string> again(std::string_view when, int& stops) {
  if (when != "on_stop") co_return std::string();
  ++stops;
  co_return std::string(R"({"again":"go on"})");
}

class NoSandbox : public sandbox::Sandbox {
 public:
  const sandbox::Policy& policy() const override { return policy_; }
  const std::vector<sandbox::Rung>& rungs() const override { return rungs_; }
  asio::awaitable<sandbox::Process> start(sandbox::ProcessSpec) override { std::abort(); }

 private:
  sandbox::Policy policy_;
  std::vector<sandbox::Rung> rungs_;
};

// Checks, at every event of a step, that the journal has the step already.
class Witness : public EventSink {
 public:
  Witness(memory::Journal& journal, std::string id) : journal_(journal), id_(std::move(id)) {}
  void receive(const Event& event) noexcept override {
    events.push_back(event);
    if (!std::holds_alternative<StepFinished>(event.body) &&
        !std::holds_alternative<CallFinished>(event.body) &&
        !std::holds_alternative<Prompted>(event.body)) {
      return;
    }
    ++steps;
    if (static_cast<int>(journal_.steps(id_).size()) < steps) unjournaled = true;
  }
  template <typename T>
  std::vector<T> all() const {
    std::vector<T> found;
    for (const Event& event : events) {
      if (const T* body = std::get_if<T>(&event.body)) found.push_back(*body);
    }
    return found;
  }
  std::vector<Event> events;
  int steps = 0;
  bool unjournaled = false;

 private:
  memory::Journal& journal_;
  std::string id_;
};

class SessionTest : public testing::Test {
 protected:
  SessionTest() {
    auto tool = std::make_unique<Echo>();
    echo = tool.get();
    toolbox.add(std::move(tool));
    memory::SessionHeader header{.workspace = "/w", .model = "script"};
    header.tools = "[]";
    past.id = journal->create(header);
    past.history.emplace_back(Opening{"system", {}});
    witness = std::make_unique<Witness>(*journal, past.id);
    events = std::make_unique<EventBus>(past.id);
    events->add(*witness);
    start();
  }

  void start(SessionOptions options = {}) {
    session = std::make_unique<Session>(
        past,
        Session::Rooms{io.get_executor(), dialogue, toolbox, context, *journal, thread, *events},
        options);
  }

  Outcome prompt(std::string text) {
    Outcome outcome;
    std::exception_ptr failure;
    const auto done = [&](std::exception_ptr error, Outcome value) {
      failure = error;
      outcome = std::move(value);
    };
    asio::co_spawn(io, session->prompt(std::move(text)), done);
    io.restart();
    io.run();
    if (failure) std::rethrow_exception(failure);
    return outcome;
  }

  model::ToolCall call(std::string text, std::string name = "echo") {
    return {"", std::move(name), R"({"text": ")" + text + R"("})"};
  }

  std::vector<Entry> journaled() {
    const memory::SessionInfo info = *journal->find(past.id);
    return replay(info, journal->steps(past.id), info.header);
  }

  // Every call has its one result, in the order of the calls, in the dialogue and in the journal.
  void expect_one_result_per_call() {
    for (const std::vector<Entry>& entries : {dialogue.entries, journaled()}) {
      for (std::size_t i = 0; i < entries.size(); ++i) {
        const auto* reply = std::get_if<Reply>(&entries[i]);
        if (!reply || reply->turn.calls.empty() || reply->turn.stop != model::Stop::calls) continue;
        ASSERT_LT(i + 1, entries.size());
        const auto* results = std::get_if<Results>(&entries[i + 1]);
        ASSERT_TRUE(results);
        ASSERT_EQ(results->results.size(), reply->turn.calls.size());
      }
    }
  }

  ScratchFolder folder;
  asio::io_context io;
  asio::thread_pool thread{1};
  std::unique_ptr<memory::Journal> journal = memory::Journal::open(folder / "sessions.db");
  ScriptedDialogue dialogue;
  tools::Toolbox toolbox;
  Echo* echo = nullptr;
  NoSandbox sandbox;
  sandbox::Files files{sandbox.policy()};
  tools::ToolContext context{.sandbox = sandbox, .files = files, .pool = thread};
  Session::Past past;
  std::unique_ptr<Witness> witness;
  std::unique_ptr<EventBus> events;
  std::unique_ptr<Session> session;
};

TEST_F(SessionTest, AnswersWithoutCalls) {
  dialogue.script = {says("Hello.")};
  const Outcome outcome = prompt("hi");
  EXPECT_EQ(outcome.code, kOk);
  EXPECT_EQ(outcome.answer, "Hello.");
  EXPECT_EQ(outcome.steps, 1);
  ASSERT_EQ(dialogue.entries.size(), 3u);  // opening, user, reply
  EXPECT_EQ(witness->all<ContentDelta>().at(0).text, "Hello.");
  EXPECT_TRUE(std::holds_alternative<TurnFinished>(witness->events.back().body));
}

TEST_F(SessionTest, CallsToolsUntilTheModelAnswers) {
  dialogue.script = {calls({call("a"), call("b")}), calls({call("c", "nope")}), says("Done.")};
  const Outcome outcome = prompt("go");
  EXPECT_EQ(outcome.code, kOk);
  EXPECT_EQ(outcome.answer, "Done.");
  EXPECT_EQ(outcome.steps, 3);
  expect_one_result_per_call();
  const auto finished = witness->all<CallFinished>();
  ASSERT_EQ(finished.size(), 3u);
  EXPECT_EQ(finished[0].result.text, R"(echo {"text": "a"})");
  EXPECT_TRUE(finished[2].result.is_error);
  EXPECT_EQ(witness->all<CallStarted>().at(0).call.id, "call_1");
  EXPECT_EQ(finished[2].result.call_id, "call_3");
}

TEST_F(SessionTest, EveryStepIsInTheJournalBeforeItsEvent) {
  dialogue.script = {calls({call("a"), call("b")}), calls({call("throw")}), says("Done.")};
  prompt("go");
  EXPECT_EQ(witness->steps, 7);  // prompt, 3 replies, 3 results
  EXPECT_FALSE(witness->unjournaled);
  EXPECT_EQ(journal->steps(past.id).size(), 7u);
  expect_one_result_per_call();
}

TEST_F(SessionTest, APluginMayChangeOrRefuseAPrompt) {
  context.hook = [](std::string_view when, std::string json) -> asio::awaitable<std::string> {
    if (when != "on_prompt") co_return std::string();
    if (json.find("bad") != json.npos) co_return std::string(R"({"deny":"plugin p: no"})");
    co_return std::string(R"({"text":"changed"})");
  };
  dialogue.script = {says("Hello.")};
  const Outcome refused = prompt("bad");
  EXPECT_EQ(refused.code, kFailed);
  EXPECT_EQ(refused.message, "The prompt was refused: plugin p: no");
  EXPECT_TRUE(journal->steps(past.id).empty());
  EXPECT_EQ(prompt("good").answer, "Hello.");
  EXPECT_EQ(std::get<UserText>(journaled().at(1)).text, "changed");
}

TEST_F(SessionTest, APluginMaySendTheModelBackToWorkAFewTimes) {
  int stops = 0;
  context.hook = [&](std::string_view when, std::string) { return again(when, stops); };
  dialogue.script = {says("1"), says("2"), says("3"), says("4"), says("5")};
  const Outcome outcome = prompt("go");
  EXPECT_EQ(outcome.code, kOk);
  EXPECT_EQ(outcome.answer, "4") << "not for ever";
  EXPECT_EQ(stops, 3);
  EXPECT_EQ(std::get<UserText>(dialogue.entries.at(3)).text, "go on");
}

TEST_F(SessionTest, StopsAtTheStepLimitWithEveryCallAnswered) {
  start({.max_steps = 3});
  for (int i = 0; i < 9; ++i) dialogue.script.push_back(calls({call(std::to_string(i))}));
  const Outcome outcome = prompt("go");
  EXPECT_EQ(outcome.code, kStepLimit);
  EXPECT_EQ(outcome.steps, 3);
  EXPECT_EQ(witness->all<Failed>().at(0).exit_code, kStepLimit);
  expect_one_result_per_call();
}

// A turn goes on for as long as the model calls something.
TEST_F(SessionTest, EndsATurnThatRepeatsItself) {
  for (int i = 0; i < 30; ++i) dialogue.script.push_back(calls({call(std::to_string(i))}));
  dialogue.script.push_back(says("Done."));
  EXPECT_EQ(prompt("go").steps, 31) << "no harm shown";
  dialogue.script.clear();
  for (int i = 0; i < 30; ++i) dialogue.script.push_back(calls({call("again")}));
  const Outcome outcome = prompt("go");
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_LT(outcome.steps, 10);
  EXPECT_NE(outcome.message.find("same call"), std::string::npos);
  expect_one_result_per_call();
}

TEST_F(SessionTest, AnInterruptStopsTheReplyAndKeepsWhatWasSaid) {
  ScriptedDialogue::Line line = says("Half an ans");
  line.until_cancelled = true;
  line.before = [this] { session->interrupt(); };
  dialogue.script = {line, says("Whole.")};
  const Outcome outcome = prompt("go");
  EXPECT_EQ(outcome.code, kInterrupted);
  EXPECT_EQ(outcome.answer, "Half an ans");
  EXPECT_EQ(witness->all<TurnFinished>().at(0).stop, model::Stop::interrupted);
  EXPECT_EQ(journal->steps(past.id).size(), 2u);
  EXPECT_EQ(prompt("go on").answer, "Whole.");  // the same session goes on
  EXPECT_EQ(dialogue.replaced, 1);              // and was not rebuilt
}

TEST_F(SessionTest, AnInterruptStopsTheToolAndEveryCallHasItsResult) {
  echo->on_hang = [this] { session->interrupt(); };
  dialogue.script = {calls({call("a"), call("hang"), call("b")}), says("Never mind.")};
  const Outcome outcome = prompt("go");
  EXPECT_EQ(outcome.code, kInterrupted);
  expect_one_result_per_call();
  EXPECT_FALSE(witness->unjournaled);
  EXPECT_EQ(journal->steps(past.id).size(), 5u);
  EXPECT_EQ(prompt("and now?").answer, "Never mind.");
}

TEST_F(SessionTest, AnInterruptBetweenReplyAndToolsStopsTheTools) {
  ScriptedDialogue::Line line = calls({call("hang")});
  line.before = [this] { session->interrupt(); };
  dialogue.script = {line};
  EXPECT_EQ(prompt("go").code, kInterrupted);
  expect_one_result_per_call();
}

TEST_F(SessionTest, AFailedReplyEndsTheTurnAndTheSessionGoesOn) {
  ScriptedDialogue::Line line = says("");
  line.before = [] { throw RuntimeError("no route to model", kModelError); };
  dialogue.script = {line, says("Here again.")};
  const Outcome outcome = prompt("go");
  EXPECT_EQ(outcome.code, kModelError);
  EXPECT_EQ(outcome.message, "no route to model");
  EXPECT_EQ(witness->all<Failed>().at(0).exit_code, kModelError);
  EXPECT_EQ(prompt("again").answer, "Here again.");
  EXPECT_EQ(dialogue.entries.size(), 4u);  // opening, two prompts, the reply
}

TEST_F(SessionTest, AStepThatCannotBeJournaledNeverHappened) {
  ScriptedDialogue::Line line = says("Unrecorded.");
  line.before = [this] {  // somebody else goes on with the session
    journal->append(past.id, notice_step("other"));
  };
  dialogue.script = {line, says("More.")};
  const Outcome outcome = prompt("go");
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_NE(outcome.message.find("another process"), std::string::npos) << outcome.message;
  EXPECT_TRUE(witness->all<StepFinished>().empty());
  EXPECT_FALSE(witness->unjournaled);
}

TEST_F(SessionTest, AMalformedReplyIsAskedForOnceMore) {
  ScriptedDialogue::Line broken = says("<call");
  broken.turn.stop = model::Stop::malformed;
  broken.turn.problem = "the call does not end";
  dialogue.script = {broken, says("Better.")};
  EXPECT_EQ(prompt("go").answer, "Better.");
  dialogue.script = {broken, broken, says("Never reached.")};
  const Outcome outcome = prompt("go");
  EXPECT_EQ(outcome.code, kModelError);
  EXPECT_NE(outcome.message.find("the call does not end"), std::string::npos);
}

TEST_F(SessionTest, AFullContextShortensTheOldestResultsFirst) {
  echo->reply_tail = std::string(3000, 'x');
  dialogue.limit_tokens = 10'000;
  for (int i = 0; i < 4; ++i) dialogue.script.push_back(calls({call(std::to_string(i))}));
  dialogue.script.push_back(says("Done."));
  const Outcome outcome = prompt("go");
  EXPECT_EQ(outcome.code, kOk) << outcome.message;
  EXPECT_LE(dialogue.room().used_tokens, 10'000);
  EXPECT_LT(std::get<Results>(dialogue.entries.at(3)).results[0].text.size(), 600u);
  EXPECT_GT(std::get<Results>(dialogue.entries.at(9)).results[0].text.size(), 3000u);
  EXPECT_FALSE(witness->all<Notice>().empty());
  EXPECT_GT(std::get<Results>(journaled().at(3)).results[0].text.size(), 3000u);  // untouched
}

TEST_F(SessionTest, AContextThatCannotBeShortenedEndsTheTurnWithAMessage) {
  dialogue.limit_tokens = 100;
  dialogue.script = {says("Too late.")};
  const Outcome outcome = prompt(std::string(150, 'x'));
  EXPECT_EQ(outcome.code, kContextFull);
  EXPECT_NE(outcome.message.find("150 of 100"), std::string::npos) << outcome.message;
}

TEST_F(SessionTest, ResumeAnswersLostCallsAndNeverRunsThemAgain) {
  Reply reply;
  reply.turn = {.stop = model::Stop::calls};
  reply.turn.calls = {{"call_1", "echo", R"({"text": "hang"})"}};
  journal->append(past.id, prompt_step("go"));
  journal->append(past.id, turn_step(reply));  // and then the power failed
  past.history = journaled();
  past.steps = 2;
  start();
  dialogue.script = {calls({call("more")}), says("Recovered.")};
  EXPECT_EQ(prompt("what happened?").answer, "Recovered.");
  expect_one_result_per_call();
  EXPECT_EQ(witness->all<CallStarted>().size(), 1u);
  EXPECT_EQ(witness->all<CallStarted>().at(0).call.id, "call_2");
  const auto& lost = std::get<Results>(dialogue.entries.at(3)).results.at(0);
  EXPECT_NE(lost.text.find("interrupted, effects unknown"), std::string::npos);
  ASSERT_EQ(journaled().size(), dialogue.entries.size());
}

TEST_F(SessionTest, SettlingIsJournaledAndPublished) {
  dialogue.script = {says("Hello.")};
  prompt("hi");
  asio::co_spawn(io, session->settle(), [](std::exception_ptr error) { EXPECT_FALSE(error); });
  io.restart();
  io.run();
  EXPECT_EQ(dialogue.settled, 1);
  EXPECT_EQ(witness->all<Settled>().at(0).dropped_tokens, 7);
  EXPECT_EQ(journal->steps(past.id).back().kind, memory::Step::Kind::settled);
}

}  // namespace
}  // namespace corvid::runtime
