#include "model/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "model/text/constraint.h"

namespace corvid::model {
namespace {

Token sample(Sampler& sampler, const std::vector<float>& logits, const TokenMask* mask = nullptr) {
  const Token token = draw_token(logits, sampler.next(mask));
  sampler.advance();
  return token;
}

Token greedy(const std::vector<float>& logits, const TokenMask* mask = nullptr) {
  return draw_token(logits, Sampler({}).next(mask));
}

std::map<Token, int> draw(Sampling sampling, const std::vector<float>& logits,
                          const TokenMask* mask = nullptr, int times = 20000) {
  Sampler sampler(sampling);
  std::map<Token, int> counts;
  for (int i = 0; i < times; ++i) ++counts[sample(sampler, logits, mask)];
  return counts;
}

TEST(Sampler, GreedyTakesTheHighestAndOfEqualsTheLowerId) {
  EXPECT_EQ(greedy({0, 3, 1, 3}), 1);
  EXPECT_EQ(greedy({-INFINITY, -5}), 1);
}

TEST(Sampler, OnlyAllowedTokensAreTaken) {
  TokenMask mask(3);
  mask.allow(0);
  mask.allow(2);
  const std::vector<float> logits = {1, 9, 0.5f};
  EXPECT_EQ(greedy(logits, &mask), 0);
  const auto counts = draw({.temperature = 1}, logits, &mask);
  EXPECT_EQ(counts.count(1), 0u);
  EXPECT_EQ(counts.size(), 2u);
}

TEST(Sampler, DrawsInProportionToTheSoftmax) {
  const auto counts = draw({.temperature = 2}, {2 * std::log(1.f), 2 * std::log(3.f)});
  EXPECT_NEAR(counts.at(1) / 20000.0, 0.75, 0.02);
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  const std::vector<float> logits = {std::log(0.2f), std::log(0.5f), std::log(0.25f),
                                     std::log(0.05f)};
  EXPECT_EQ(draw({.temperature = 1, .top_p = 0.5}, logits).size(), 1u);
  const auto counts = draw({.temperature = 1, .top_p = 0.74}, logits);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_NEAR(counts.at(1) / 20000.0, 2.0 / 3, 0.02);
  EXPECT_EQ(draw({.temperature = 1, .top_p = 0.9}, logits).size(), 3u);
  EXPECT_EQ(draw({.temperature = 1, .top_p = 0}, logits).size(), 1u);
}

TEST(Sampler, MinPDropsWhatIsFarBelowTheBest) {
  const std::vector<float> logits = {std::log(0.6f), std::log(0.3f), std::log(0.1f)};
  EXPECT_EQ(draw({.temperature = 1, .min_p = 0.4}, logits).size(), 2u);
  EXPECT_EQ(draw({.temperature = 1, .min_p = 0.1}, logits).size(), 3u);
}

TEST(Sampler, TheSeedDecidesTheDraws) {
  const std::vector<float> logits(100, 0.f);
  const auto series = [&](std::uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<Token> tokens;
    for (int i = 0; i < 8; ++i) tokens.push_back(sample(sampler, logits));
    return tokens;
  };
  EXPECT_EQ(series(1), series(1));
  EXPECT_NE(series(1), series(2));
  // The same on every machine, for ever: journals replay with it.
  EXPECT_EQ(series(42), (std::vector<Token>{74, 15, 27, 34, 3, 86, 21, 80}));
}

TEST(Sampler, TheNextDrawStaysTheSameUntilItIsDone) {
  Sampler sampler({.temperature = 1, .seed = 3});
  const Draw first = sampler.next(nullptr);
  EXPECT_EQ(sampler.next(nullptr).nth, first.nth);
  sampler.advance();
  EXPECT_EQ(sampler.next(nullptr).seed, first.seed);
  EXPECT_EQ(sampler.next(nullptr).nth, first.nth + 1);
}

TEST(Sampler, TokensBeyondTheMaskAreNotTaken) {
  TokenMask mask(3);
  mask.allow_all();
  EXPECT_EQ(greedy({1, 2, 0, 9}, &mask), 1);
}

TEST(Sampler, OutputThatIsNoNumberGivesNoToken) {
  const std::vector<float> broken(4, std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(greedy(broken), -1);
  EXPECT_EQ(greedy({NAN, 1, NAN}), 1);
}

// --- Logits that are changed first. --------------------------------------------------------------

Token changed(Sampler& sampler, const std::vector<float>& logits, const TokenMask* mask = nullptr) {
  EXPECT_TRUE(sampler.changes_logits());
  const Token token = sampler.draw(logits, sampler.next(mask));
  sampler.advance();
  return token;
}

TEST(Sampler, ABiasIsAddedAndAMaskHoldsAllTheSame) {
  Sampler sampler({.bias = {{0, 2.5F}, {1, -100}, {7, 100}}});  // there is no token 7
  EXPECT_EQ(changed(sampler, {1, 9, 3}), 0);
  TokenMask mask(3);
  mask.allow(1);
  mask.allow(2);
  EXPECT_EQ(changed(sampler, {1, 9, 3}, &mask), 2);
}

TEST(Sampler, PenaltiesCountWhatWasSaid) {
  const std::vector<float> logits = {3, 2, 0};
  Sampler presence({.presence_penalty = 2});
  EXPECT_EQ(changed(presence, logits), 0);
  presence.said(0);
  EXPECT_EQ(changed(presence, logits), 1);  // 1, 2, 0
  presence.said(1);
  presence.said(0);
  presence.said(0);
  EXPECT_EQ(changed(presence, logits), 0);  // 1, 0, 0: once, however often
  Sampler frequency({.frequency_penalty = 1.25});
  std::vector<Token> tokens;
  for (int i = 0; i < 6; ++i) frequency.said(tokens.emplace_back(changed(frequency, logits)));
  EXPECT_EQ(tokens, (std::vector<Token>{0, 1, 0, 1, 0, 2}));
}

TEST(Sampler, TopKKeepsTheHighestOfWhatIsAllowed) {
  const std::vector<float> logits = {4, 3.9F, NAN, 3.8F, 3.7F};
  TokenMask mask(5);
  for (const Token token : {1, 2, 3, 4}) mask.allow(token);
  Sampler sampler({.temperature = 5, .top_k = 2});
  std::map<Token, int> counts;
  for (int i = 0; i < 2000; ++i) ++counts[changed(sampler, logits, &mask)];
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_GT(counts[1], 800);
  EXPECT_GT(counts[3], 800);
}

TEST(Sampler, WithoutAnyOfThatTheBackEndDraws) {
  EXPECT_FALSE(Sampler({.temperature = 1, .top_p = 0.5, .min_p = 0.1}).changes_logits());
}

}  // namespace
}  // namespace corvid::model
