// Replies driven through the real engine with the built-in model's file: its vocabulary and shape
// count here, not what it has learnt.
#include "model/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/files/gguf.h"
#include "tests/model/script.h"
#include "tests/model/small_vocabulary.h"

namespace corvid::model {
namespace {

using testing::Script;

const std::vector<ToolSpec> kTools = {
    {"shell", "Run a command.",
     R"({"type": "object", "properties": {"command": {"type": "string"}},
         "required": ["command"]})"}};

struct Model {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatFormat> format;
};

const Model& nano() {
  static const Model kModel = [] {
    const auto file = GgufFile::open(CORVID_SOURCE_DIR "/model/nano/nano.gguf");
    Model model{Engine::load(file, {.threads = 2}), Tokenizer::load(*file), nullptr};
    model.format = ChatFormat::of_model(*file, *model.tokenizer);
    return model;
  }();
  return kModel;
}

std::vector<Token> prompt() {
  const auto& format = *nano().format;
  Pieces pieces = format.open("You are Corvid.", kTools);
  for (const Pieces& more : {format.user("Count."), format.reply_prefix(Thinking::on, false)}) {
    pieces.insert(pieces.end(), more.begin(), more.end());
  }
  return nano().tokenizer->encode(pieces);
}

// The tokens of a reply as its text would be tokenised, with the end of the reply.
std::vector<Token> reply_tokens(const std::string& text) {
  std::vector<Token> tokens = nano().tokenizer->encode_special(text);
  tokens.push_back(nano().tokenizer->eos());
  return tokens;
}

const std::string kCall =
    "I count.</think>Counting.\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"shell\">\n"
    "<｜DSML｜parameter name=\"command\" string=\"true\">ls | wc -l</｜DSML｜parameter>\n"
    "</｜DSML｜invoke>\n</｜DSML｜function_calls>";

struct Made {
  Turn turn;
  Delta deltas;
  int steps = 0;
};

// Steps to the end, or interrupts after `limit` steps.
Made say(Context& context, std::unique_ptr<Constraint> constraint, GenerateOptions options,
         int limit = -1, const Model& model = nano()) {
  Made made;
  Generation generation(context, model.format, model.tokenizer, std::move(constraint),
                        std::move(options));
  while (std::optional<Work> work = generation.work()) {
    if (made.steps == limit) {
      generation.interrupt();
      break;
    }
    nano().engine->step({&*work, 1});
    const Delta delta = generation.advance();
    made.deltas.reasoning += delta.reasoning;
    made.deltas.content += delta.content;
    made.deltas.call_text += delta.call_text;
    ++made.steps;
  }
  made.turn = generation.finish();
  return made;
}

std::unique_ptr<Script> script(const std::string& text, bool constrained = true) {
  return std::make_unique<Script>(
      reply_tokens(text),
      constrained ? call_constraint(nano().format, nano().tokenizer, kTools, Thinking::on)
                  : nullptr);
}

TEST(Generation, AReplyWithACallEndsAtTheByteThatClosesTheBlock) {
  const auto context = nano().engine->new_context();
  const Made made = say(*context, script(kCall), {.prompt = prompt()});
  EXPECT_EQ(made.turn.stop, Stop::calls);
  EXPECT_EQ(made.turn.reasoning, "I count.");
  EXPECT_EQ(made.turn.content, "Counting.");
  ASSERT_EQ(made.turn.calls.size(), 1u);
  EXPECT_EQ(made.turn.calls[0], (ToolCall{"", "shell", R"({"command": "ls | wc -l"})"}));
  EXPECT_EQ(made.turn.tokens, reply_tokens(kCall));
  EXPECT_EQ(made.deltas.reasoning, "I count.");
  EXPECT_EQ(made.deltas.content, "Counting.");
  EXPECT_EQ(made.deltas.call_text, kCall.substr(kCall.find("<｜DSML｜function_calls")));
}

TEST(Generation, ForcedTextCostsNoModelStepAndEveryTokenIsComputedOnce) {
  const std::int64_t rows_before = nano().engine->rows_computed();
  const auto context = nano().engine->new_context();
  const Made made = say(*context, script(kCall), {.prompt = prompt(), .prefill_chunk_tokens = 64});
  const int n_prompt = static_cast<int>(prompt().size());
  const int n_reply = static_cast<int>(made.turn.tokens.size());
  const Usage& usage = made.turn.usage;
  EXPECT_EQ(usage.prefilled, n_prompt);
  EXPECT_EQ(usage.generated + usage.forced, n_reply);
  EXPECT_GT(usage.forced, n_reply / 3);
  EXPECT_EQ(made.steps, (n_prompt + 63) / 64 + usage.generated - 1);
  // What came with the last sampled token is not run any more.
  EXPECT_LT(context->mark().n_tokens, n_prompt + n_reply);
  EXPECT_EQ(nano().engine->rows_computed() - rows_before, context->mark().n_tokens);
}

TEST(Generation, ForcedOrSampledTheReplyIsTheSame) {
  const auto first = nano().engine->new_context(), second = nano().engine->new_context();
  const Made forced = say(*first, script(kCall, true), {.prompt = prompt()});
  const Made sampled = say(*second, script(kCall, false), {.prompt = prompt()});
  EXPECT_EQ(forced.turn.tokens, sampled.turn.tokens);
  EXPECT_EQ(forced.turn.calls, sampled.turn.calls);
  EXPECT_EQ(sampled.turn.usage.forced, 1);  // the end after the block
  EXPECT_GT(sampled.steps, forced.steps);
}

TEST(Generation, AnAnswerEndsWithTheModelsOwnEnd) {
  const auto context = nano().engine->new_context();
  const Made made = say(*context, script("Easy.</think>Three files."), {.prompt = prompt()});
  EXPECT_EQ(made.turn.stop, Stop::end);
  EXPECT_EQ(made.turn.content, "Three files.");
  EXPECT_EQ(made.turn.tokens.back(), nano().tokenizer->eos());
}

// GLM ends a reply with the token that begins the next message.
TEST(Generation, AnEndThatBelongsToTheNextMessageIsNoPartOfTheReply) {
  Model model = nano();
  model.format = ChatFormat::named("glm-4.7");
  testing::SmallVocabulary vocabulary;
  for (std::string_view token : model.format->special_tokens()) {
    vocabulary.add(std::string(token), 3);
  }
  model.tokenizer = Tokenizer::load(*testing::gguf_from(vocabulary.writer("glm4").bytes()));
  const std::string call = "<tool_call>shell<arg_key>command</arg_key><arg_value>ls</arg_value>";
  for (const std::string& text : {"Hm.</think>Looking." + call + "</tool_call>",
                                  "</think>" + call + "</tool_call>" + call + "</tool_call>",
                                  std::string("Hm.</think>Hello.")}) {
    const bool calls = text.find("<tool_call>") != std::string::npos;
    std::vector<Token> tokens = model.tokenizer->encode_special(text);
    const std::vector<Token> said = tokens;
    tokens.push_back(*model.tokenizer->special(calls ? "<|observation|>" : "<|user|>"));
    const std::vector<Token> prompt = model.tokenizer->encode_special("[gMASK]<sop><think>");
    auto script = std::make_unique<Script>(
        tokens, call_constraint(model.format, model.tokenizer, kTools, Thinking::on));
    const auto context = model.engine->new_context();
    const Made made =
        say(*context, std::move(script), {.tools = kTools, .prompt = prompt}, -1, model);
    EXPECT_EQ(made.turn.stop, calls ? Stop::calls : Stop::end) << text << made.turn.problem;
    EXPECT_EQ(made.turn.tokens, said);
    for (const ToolCall& found : made.turn.calls) {
      EXPECT_EQ(found, (ToolCall{"", "shell", R"({"command": "ls"})"}));
    }
    EXPECT_EQ(context->tokens().size(), prompt.size() + said.size());
  }
}

TEST(Generation, InterruptedAfterAnyStepTheTurnIsWhatWasSaidSoFar) {
  const Made whole = say(*nano().engine->new_context(), script(kCall), {.prompt = prompt()});
  for (int limit = 0; limit < whole.steps; ++limit) {
    const auto context = nano().engine->new_context();
    const Made cut = say(*context, script(kCall), {.prompt = prompt()}, limit);
    EXPECT_EQ(cut.turn.stop, Stop::interrupted);
    EXPECT_TRUE(cut.turn.calls.empty());
    ASSERT_LE(cut.turn.tokens.size(), whole.turn.tokens.size());
    EXPECT_TRUE(
        std::equal(cut.turn.tokens.begin(), cut.turn.tokens.end(), whole.turn.tokens.begin()));
    // The transcript and the tokens say the same.
    const auto parser = nano().format->parser(Thinking::on, kTools);
    parser->feed(nano().tokenizer->decode(cut.turn.tokens));
    const Turn read = parser->finish(Stop::interrupted);
    EXPECT_EQ(cut.turn.reasoning, read.reasoning);
    EXPECT_EQ(cut.turn.content, read.content);
    // The context is a prefix of prompt and reply.
    std::vector<Token> all = prompt();
    all.insert(all.end(), cut.turn.tokens.begin(), cut.turn.tokens.end());
    const auto held = context->tokens();
    ASSERT_LE(held.size(), all.size());
    EXPECT_TRUE(std::equal(held.begin(), held.end(), all.begin()));
  }
}

TEST(Generation, StopsAtTheTokenLimitAndCarriesNothingOut) {
  const auto context = nano().engine->new_context();
  const Made made = say(*context, script(kCall), {.max_tokens = 20, .prompt = prompt()});
  EXPECT_EQ(made.turn.stop, Stop::length);
  EXPECT_EQ(made.turn.tokens.size(), 20u);
  EXPECT_TRUE(made.turn.calls.empty());
}

TEST(Generation, StopsWhenTheContextIsFull) {
  const auto file = GgufFile::open(CORVID_SOURCE_DIR "/model/nano/nano.gguf");
  const int n_prompt = static_cast<int>(prompt().size());
  const auto engine = Engine::load(file, {.threads = 1, .max_context_tokens = n_prompt + 5});
  const auto context = engine->new_context();
  Generation generation(*context, nano().format, nano().tokenizer, script(kCall),
                        {.prompt = prompt()});
  while (std::optional<Work> work = generation.work()) {
    engine->step({&*work, 1});
    generation.advance();
  }
  EXPECT_EQ(generation.finish().stop, Stop::context_full);

  const auto small = Engine::load(file, {.threads = 1, .max_context_tokens = n_prompt - 1});
  const auto too_small = small->new_context();
  Generation none(*too_small, nano().format, nano().tokenizer, nullptr, {.prompt = prompt()});
  EXPECT_TRUE(none.done());
  EXPECT_EQ(none.work(), std::nullopt);
  EXPECT_EQ(none.finish().stop, Stop::context_full);
}

// Whatever the weights say: special tokens that do not belong into a reply are not sampled, and
// every reply ends.
TEST(Generation, TheModelsOwnRepliesHoldOnlyWhatTheFormatExpects) {
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    const auto context = nano().engine->new_context();
    const Made made =
        say(*context, call_constraint(nano().format, nano().tokenizer, kTools, Thinking::on),
            {.sampling = {.temperature = 3, .seed = seed}, .max_tokens = 60, .prompt = prompt()});
    const std::vector<Token>& tokens = made.turn.tokens;
    ASSERT_LE(tokens.size(), 60u);
    for (Token token : tokens) {
      if (!nano().tokenizer->is_special(token)) continue;
      EXPECT_TRUE(token == nano().tokenizer->eos() || nano().tokenizer->bytes(token) == "</think>");
    }
  }
}

}  // namespace
}  // namespace corvid::model
