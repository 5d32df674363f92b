// config.toml: typed, checked, and helpful when it is wrong.
#include "runtime/settings.h"

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "tests/scratch_folder.h"

namespace corvid::runtime {
namespace {

std::string refusal(const std::string& text) {
  try {
    parse_settings(text, "config.toml");
  } catch (const RuntimeError& refused) {
    EXPECT_EQ(refused.code(), kUsage);
    return refused.what();
  }
  return "not refused";
}

TEST(Settings, AnAbsentFileGivesTheDefaults) {
  const Settings settings = load_settings("/nonexistent/config.toml");
  EXPECT_EQ(settings.model, "");
  EXPECT_EQ(settings.max_steps, 50);
  EXPECT_TRUE(settings.sandbox.enabled);
  EXPECT_EQ(settings.remote.first_token_deadline, std::chrono::minutes(10));
}

TEST(Settings, EveryKindOfValueIsRead) {
  const Settings settings = parse_settings(R"(
model = "https://api.deepseek.com"
think = false
max_steps = 7
[sampling]
temperature = 1
top_p = 0.95
[sandbox]
network = true
writable = ["~/cache", "/srv/data"]
[remote]
dialect = "vllm"
reasoning = "turn"
first_token_deadline = 1.5
)",
                                           "x");
  EXPECT_EQ(settings.model, "https://api.deepseek.com");
  EXPECT_EQ(settings.thinking, model::Thinking::off);
  EXPECT_EQ(settings.max_steps, 7);
  EXPECT_EQ(settings.sampling.temperature, 1.0);
  EXPECT_EQ(settings.sampling.top_p, 0.95);
  EXPECT_FALSE(settings.sampling.min_p);
  EXPECT_TRUE(settings.sandbox.network);
  EXPECT_EQ(settings.sandbox.writable, (std::vector<std::string>{"~/cache", "/srv/data"}));
  EXPECT_EQ(settings.remote.dialect, "vllm");
  EXPECT_EQ(settings.remote.first_token_deadline, std::chrono::milliseconds(1500));
}

TEST(Settings, AnUnknownKeyIsNamedWithItsLineAndTheNearestKnownOne) {
  EXPECT_EQ(refusal("\nmax_step = 3\n"),
            "config.toml:2: there is no setting max_step; did you mean max_steps?");
  EXPECT_EQ(refusal("[remote]\ndialekt = \"vllm\"\n"),
            "config.toml:2: there is no setting remote.dialekt; did you mean remote.dialect?");
  EXPECT_EQ(refusal("dialect = \"vllm\"\n"),
            "config.toml:1: there is no setting dialect; did you mean remote.dialect?");
  EXPECT_EQ(refusal("[remotes]\n"),
            "config.toml:1: there is no setting remotes; did you mean [remote]?");
}

TEST(Settings, AWrongValueIsRefusedWithWhatItTakes) {
  EXPECT_EQ(refusal("max_steps = \"3\""),
            "config.toml:1: max_steps takes a whole number from 1 to 100000.");
  EXPECT_EQ(refusal("max_steps = 0"),
            "config.toml:1: max_steps takes a whole number from 1 to 100000.");
  EXPECT_EQ(refusal("think = \"on\""), "config.toml:1: think takes true or false.");
  EXPECT_EQ(refusal("remote = 3"), "config.toml:1: remote is a table: [remote].");
  EXPECT_EQ(refusal("sandbox.writable = [\"relative\"]"),
            "config.toml:1: sandbox.writable takes an array of folders that start with / or ~/.");
  EXPECT_EQ(refusal("sampling.temperature = nan"),
            "config.toml:1: sampling.temperature takes a number from 0 to 2.");
  EXPECT_TRUE(refusal("remote.dialect = \"x\"").find("\"llama-server\"") != std::string::npos);
  EXPECT_EQ(refusal("a = ").find("config.toml:1: "), 0u);
}

TEST(Settings, WhatIsNoTomlIsRefused) {
  for (const char* text :
       {"[$x]", "[=", "[[.a]]", "a.$ = 1", "x = {$ = 1}", "model = ", "[", "\xff"}) {
    EXPECT_NE(refusal(text), "not refused") << text;
  }
  EXPECT_NE(refusal("remote.stall_deadline = 0.0001"), "not refused");
  EXPECT_EQ(parse_settings("backend = \"\"", "x").backend, "auto");
}

TEST(Settings, ALetterThatIsNotAsciiOutsideOfAStringIsRefused) {
  for (const char* text : {"é = 1", "model é = 1", "Ж = 1", "model = \"x\" é", "あ = 1"}) {
    EXPECT_TRUE(refusal(text).starts_with("config.toml:1: ")) << text << ": " << refusal(text);
  }
  EXPECT_EQ(parse_settings("model = \"é\"  # ü\n", "x").model, "é");
}

TEST(Settings, AFolderInTheirPlaceIsNotTakenForTheDefaults) {
  const ScratchFolder folder;
  EXPECT_THROW(load_settings(folder.path()), RuntimeError);
}

TEST(Settings, WhatIsPrintedIsReadBackTheSame) {
  const Settings settings = parse_settings(
      "model = \"a \\\"b\\\"\"\nthink = false\n[sampling]\nmin_p = 0.05\n[sandbox]\n"
      "writable = [\"/x\"]\n[remote]\nstall_deadline = 0.25\nkey_variable = \"K\"\n",
      "x");
  const std::string printed = print_settings(settings);
  EXPECT_EQ(print_settings(parse_settings(printed, "y")), printed) << printed;
  EXPECT_NE(printed.find("\nmin_p = 0.05\n"), std::string::npos);
  EXPECT_NE(printed.find("\n#max_steps = 50\n"), std::string::npos);
}

}  // namespace
}  // namespace corvid::runtime
