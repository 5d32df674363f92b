// Many requests on one engine: who makes progress, and whom a stop or a fault concerns.
#include "runtime/engine_thread.h"

#include <gtest/gtest.h>

#include <future>
#include <map>

#include "model/error.h"
#include "tests/runtime/scripted_model.h"

namespace corvid::runtime {
namespace {

using model::Token;

struct Answer {
  model::Turn turn;
  std::string error;
};

class EngineThreadTest : public testing::Test {
 protected:
  struct Step {
    char who;
    double prefilled;
  };

  ReplyRequest request(char who, std::vector<Token> prompt, int max_tokens) {
    ReplyRequest request;
    request.prompt = std::move(prompt);
    request.constraint = [] { return nullptr; };
    request.format = scripted.model.format;
    request.tokenizer = scripted.model.tokenizer;
    request.max_tokens = max_tokens;
    request.sampling = {.temperature = 0};
    request.on_progress = [this, who](const ReplyRequest::Progress& progress) {
      steps.push_back({who, progress.prefill_fraction});
      if (on_step) on_step(who, progress.prefill_fraction);
    };
    return request;
  }
  // On a timeline of its own.
  std::future<Answer> submit(ReplyRequest request, std::stop_token stop = {}) {
    auto answer = std::make_shared<std::promise<Answer>>();
    request.on_done = [answer](model::Turn turn, std::exception_ptr error) {
      Answer out{std::move(turn), ""};
      try {
        if (error) std::rethrow_exception(error);
      } catch (const std::exception& problem) {
        out.error = problem.what();
      }
      answer->set_value(std::move(out));
    };
    timelines.push_back(engine.new_timeline());
    engine.submit(timelines.back(), std::move(request), stop);
    return answer->get_future();
  }
  // Keeps the engine in a step until the promise is kept: what comes meanwhile meets in the next.
  std::shared_ptr<std::promise<void>> hold() {
    const auto gate = std::make_shared<std::promise<void>>();
    const auto held = std::make_shared<std::promise<void>>();
    ReplyRequest holder = request('h', words(3, 4), 1);
    holder.on_progress = [gate, held](const ReplyRequest::Progress&) {
      held->set_value();
      gate->get_future().wait();
    };
    submit(std::move(holder));
    held->get_future().wait();
    return gate;
  }
  // Plain words, so many tokens of them; never the same text twice.
  std::vector<Token> words(int n_tokens, int seed) const {
    std::string text;
    for (int i = 0; i < n_tokens; ++i) text += " " + std::to_string((i * 31 + seed * 977) % 1000);
    std::vector<Token> tokens = scripted.model.tokenizer->encode(text);
    tokens.resize(n_tokens);
    return tokens;
  }
  std::vector<Token> alone(const std::vector<Token>& prompt, int max_tokens) {
    return submit(request('-', prompt, max_tokens)).get().turn.tokens;
  }

  ScriptedModel scripted;
  std::vector<Step> steps;                        // engine thread
  std::function<void(char who, double)> on_step;  // engine thread
  EngineThread engine{scripted.model.engine};
  std::vector<std::shared_ptr<Timeline>> timelines;
};

TEST_F(EngineThreadTest, PromptsAndATokenAtATimeMakeFairProgressTogether) {
  scripted.says({.content = scripted.model.tokenizer->decode(words(40, 9))});
  ReplyRequest speaks = request('d', words(5, 8), 0);
  speaks.constraint = [this] { return scripted.model.constraint({}, model::Thinking::off, {}); };
  speaks.thinking = model::Thinking::off;
  const auto gate = hold();
  std::vector<std::future<Answer>> answers;
  answers.push_back(submit(std::move(speaks)));
  for (char who : {'a', 'b', 'c'}) answers.push_back(submit(request(who, words(6 * 240, who), 1)));
  gate->set_value();
  for (auto& answer : answers) EXPECT_EQ(answer.get().error, "");

  std::map<char, int> chunks;
  for (const Step& step : steps) {
    if (step.who == 'h') continue;
    ++chunks[step.who];
    const int a = chunks['a'], b = chunks['b'], c = chunks['c'];
    EXPECT_LE(a + b + c, 2 * chunks['d'] + 1);  // it speaks in every step, beside two chunks
    EXPECT_LE(std::max({a, b, c}), std::min({a, b, c}) + 1);
  }
  EXPECT_GT(chunks['d'], 40);
  EXPECT_EQ(chunks['c'], 6);
}

TEST_F(EngineThreadTest, StoppingOneLeavesTheOthersAlone) {
  const std::vector<Token> prompts[] = {words(700, 1), words(20, 2), words(400, 3)};
  const std::vector<Token> expected[] = {alone(prompts[0], 12), alone(prompts[1], 12)};
  for (bool in_its_prompt : {true, false}) {
    std::stop_source stop;
    on_step = [&](char who, double prefilled) {
      if (who == 'c' && (in_its_prompt || prefilled == 1)) stop.request_stop();
    };
    const auto gate = hold();
    auto a = submit(request('a', prompts[0], 12)), b = submit(request('b', prompts[1], 12));
    auto stopped = submit(request('c', prompts[2], 1000), stop.get_token());
    gate->set_value();
    const Answer cut = stopped.get();
    EXPECT_EQ(cut.turn.stop, model::Stop::interrupted);
    EXPECT_EQ(cut.error, "");
    EXPECT_EQ(cut.turn.tokens.empty(), in_its_prompt);
    EXPECT_EQ(a.get().turn.tokens, expected[0]);
    EXPECT_EQ(b.get().turn.tokens, expected[1]);
  }
}

TEST_F(EngineThreadTest, AFaultInACommonStepEndsNobodyElse) {
  const std::vector<Token> prompts[] = {words(300, 1), words(20, 2)};
  const std::vector<Token> expected[] = {alone(prompts[0], 8), alone(prompts[1], 8)};
  std::vector<Token> bad = words(30, 3);
  bad[17] = engine.engine().vocab_size();
  const auto gate = hold();
  auto a = submit(request('a', prompts[0], 8)), x = submit(request('x', bad, 8)),
       b = submit(request('b', prompts[1], 8));
  gate->set_value();
  EXPECT_NE(x.get().error.find("outside the vocabulary"), std::string::npos);
  const Answer answers[] = {a.get(), b.get()};
  for (int i : {0, 1}) {
    EXPECT_EQ(answers[i].error, "");
    EXPECT_EQ(answers[i].turn.tokens, expected[i]);
  }
}

}  // namespace
}  // namespace corvid::runtime
