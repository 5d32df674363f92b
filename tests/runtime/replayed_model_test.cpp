#include "runtime/replayed_model.h"

#include <gtest/gtest.h>

#include "tests/runtime/scripted_model.h"
#include "tests/runtime/serving.h"

namespace corvid::runtime {
namespace {

TEST(ReplayedModel, SaysWhatTheJournalHoldsAndThenSpeaksForItself) {
  const ScriptedModel scripted;
  const std::vector<model::Token> call =
      scripted.tokens_of(calling("shell", R"({"command": "ls"})", "I look."));
  std::vector<model::Token> cut = scripted.tokens_of(saying("Two files.", "Hm."));
  cut.pop_back();  // interrupted: nothing ends it in the journal
  LocalModel model = load_local_model(builtin_model_file(), {.threads = 1});
  const model::ToolSpec shell{"shell", "", R"({"type": "object", "properties": {}})"};
  model = replayed(std::move(model), {call, cut});
  const auto vocabulary = model.tokenizer->vocab_size();
  const std::vector<model::ToolSpec> tools = {shell};
  for (const std::vector<model::Token>& reply : {call, cut}) {
    const auto constraint = model.constraint(tools, model::Thinking::on);
    for (const model::Token token : reply) {
      model::TokenMask allowed(vocabulary), only(vocabulary);
      constraint->mask(allowed);
      only.allow(token);
      ASSERT_TRUE(allowed == only);
      constraint->accept(token);
    }
    model::TokenMask allowed(vocabulary);
    constraint->mask(allowed);
    EXPECT_TRUE(allowed.allows(model.tokenizer->eos()));
  }
  EXPECT_TRUE(model.constraint(tools, model::Thinking::on)->free());
}

}  // namespace
}  // namespace corvid::runtime
