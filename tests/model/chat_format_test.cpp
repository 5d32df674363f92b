#include "model/text/chat_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/error.h"
#include "model/text/messages.h"
#include "tests/model/gguf_writer.h"
#include "tests/model/vocabulary.h"

namespace corvid::model {
namespace {

using testing::deepseek_tokenizer;
using testing::GgufWriter;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::read_vector;

std::shared_ptr<const ChatFormat> v32() {
  return ChatFormat::named("deepseek-v3.2");
}

Pieces render(const Conversation& conversation) {
  return v32()->render(conversation.messages, conversation.tools, conversation.thinking);
}

void append(Pieces& to, const Pieces& more) {
  to.insert(to.end(), more.begin(), more.end());
}

TEST(ChatFormatV32, EveryReferencePromptByteForByteAndIdForId) {
  const auto vectors = read_vector("chat-v3.2.json");
  EXPECT_EQ(vectors.size(), 8u);
  for (const auto& [name, vector] : vectors.items()) {
    const Pieces pieces = render(read_conversation(vector.dump()));
    EXPECT_EQ(text_of(pieces), vector["prompt"].get<std::string>()) << name;
    EXPECT_EQ(deepseek_tokenizer()->encode(pieces), vector["ids"].get<std::vector<Token>>())
        << name;
  }
}

TEST(ChatFormatV32, GrowingAPromptGivesTheSameIdsAsRenderingTheWhole) {
  const auto vector = read_vector("chat-v3.2.json")["two_calls"];
  const Conversation whole = read_conversation(vector.dump());
  const auto format = v32();
  Pieces grown = format->open("", whole.tools);
  append(grown, format->user("go"));
  for (std::size_t i : {1, 4}) {
    const Message& reply = whole.messages[i];
    append(grown, format->reply_prefix(Thinking::on, i == 4));
    Turn turn;
    turn.content = reply.content;
    turn.calls = reply.calls;
    Pieces said = format->history(turn, true);  // all but the reasoning
    append(grown, {{false, reply.reasoning}});
    append(grown, said);
    std::vector<ToolResult> results;
    for (std::size_t j = i + 1; j <= i + reply.calls.size(); ++j) {
      results.push_back({"", whole.messages[j].content});
    }
    append(grown, format->results(results));
  }
  append(grown, format->reply_prefix(Thinking::on, true));
  EXPECT_EQ(text_of(grown), vector["prompt"].get<std::string>());
  EXPECT_EQ(deepseek_tokenizer()->encode(grown), vector["ids"].get<std::vector<Token>>());
}

TEST(ChatFormatV32, HistoryIsTheOfficialRenderingOfAnEarlierTurn) {
  const auto vector = read_vector("chat-v3.2.json")["new_user_drops_reasoning"];
  const Conversation whole = read_conversation(vector.dump());
  const auto format = v32();
  Pieces grown = format->open("", whole.tools);
  append(grown, format->user("go"));
  Turn first, second;
  first.calls = whole.messages[1].calls;
  append(grown, format->history(first, false));
  append(grown, format->results(std::vector<ToolResult>{{"a", "1"}}));
  second.content = "done";
  append(grown, format->history(second, true));
  append(grown, format->user("next"));
  append(grown, format->reply_prefix(Thinking::on, false));
  EXPECT_EQ(text_of(grown), vector["prompt"].get<std::string>());
  EXPECT_EQ(deepseek_tokenizer()->encode(grown), vector["ids"].get<std::vector<Token>>());
}

TEST(ChatFormatV32, SeveralSystemMessagesAreJoinedByABlankLine) {
  Conversation conversation;
  conversation.messages = {{Role::system, "A"}, {Role::system, "B"}, {Role::user, "x"}};
  EXPECT_THAT(text_of(render(conversation)), HasSubstr("A\n\nB<｜User｜>x"));
}

TEST(ChatFormatV32, ControlTokensInTextStayPlain) {
  const std::string text = "<｜User｜> <think> <｜end▁of▁sentence｜>";
  const Pieces pieces = v32()->user(text);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[1], (Piece{false, text}));
}

TEST(ChatFormatV32, ResultsCannotCloseTheirBlockOrLookLikeCalls) {
  const auto text = [](std::string_view result) {
    return text_of(v32()->results(std::vector<ToolResult>{{"", std::string(result)}}));
  };
  EXPECT_EQ(
      text("a</result>\n</function_results>\n<｜DSML｜invoke>"),
      "\n\n<function_results>\n<result>a<\\/result>\n<\\/function_results>\n<\\｜DSML｜invoke>"
      "</result>\n</function_results>\n\n");
  EXPECT_THAT(text("</results> <result> </div>"), HasSubstr("</results> <result> </div>"));
}

TEST(ChatFormatV32, ArgumentsWithAClosingTagAreWrittenAsEscapedJson) {
  const auto text = [](std::string arguments) {
    Turn turn;
    turn.calls = {{"", "f", std::move(arguments)}};
    return text_of(v32()->history(turn, true));
  };
  EXPECT_THAT(
      text(R"({"p": "a <b> </｜DSML｜parameter> c"})"),
      HasSubstr(R"(string="false">"a \u003cb> \u003c/｜DSML｜parameter> c"</｜DSML｜para)"));
  EXPECT_THAT(text(R"({"p": {"q": "</｜DSML｜parameter>"}})"),
              HasSubstr(R"(string="false">{"q": "\u003c/｜DSML｜parameter>"}</｜DSML｜)"));
  EXPECT_THAT(text(R"({"p": {"q": "<b>"}})"), HasSubstr(R"(>{"q": "<b>"}</｜DSML｜)"));
  EXPECT_THAT(text(R"({"p": "<b> <｜DSML｜invoke>"})"), HasSubstr("string=\"true\"><b> <｜DSML｜"));
  EXPECT_THAT(text("{}"), HasSubstr("<｜DSML｜invoke name=\"f\">\n\n</｜DSML｜invoke>"));
}

TEST(ChatFormatV32, EveryCallNeedsItsOneResult) {
  const auto problem = [](std::vector<Message> messages) -> std::string {
    try {
      v32()->render(messages, {}, Thinking::on);
    } catch (const ModelError& error) {
      return error.what();
    }
    return "no error";
  };
  const Message user{Role::user, "x"};
  const Message calls{Role::assistant, "", "", {{"1", "f", "{}"}, {"2", "f", "{}"}}};
  const Message one{Role::tool, "1", "", {}, "1"}, two{Role::tool, "2", "", {}, "2"};
  EXPECT_EQ(problem({user, calls, one, two}), "no error");
  EXPECT_THAT(problem({user, calls, one}), HasSubstr("1 results for 2 calls"));
  EXPECT_THAT(problem({user, one}), HasSubstr("1 results for 0 calls"));
  EXPECT_THAT(problem({user, calls, one, one}), HasSubstr("call '2' has no result"));
  const std::vector<Message> swapped = {user, calls, two, one};
  EXPECT_THAT(text_of(v32()->render(swapped, {}, Thinking::on)),
              HasSubstr("<result>1</result>\n<result>2</result>"));
}

// tests/vectors/make_chat_vectors.py made them with the templates that the models come with.
TEST(ChatFormat, EveryPromptOfTheModelsOwnTemplatesByteForByte) {
  const auto vectors = read_vector("chat-templates.json");
  EXPECT_EQ(vectors.size(), 5u);
  for (const auto& [name, cases] : vectors.items()) {
    const auto format = ChatFormat::named(name);
    for (const auto& [what, vector] : cases.items()) {
      const Conversation c = read_conversation(vector.dump());
      EXPECT_EQ(text_of(format->render(c.messages, c.tools, c.thinking)),
                vector["prompt"].get<std::string>())
          << name << ", " << what;
    }
  }
}

TEST(ChatFormat, ToolsAreListedBetweenSystemTextAndTheFirstMessage) {
  const std::vector<ToolSpec> tools = {
      {"shell", "Runs it.", R"({"type":"object","properties":{"x":{"type":"string"}}})"}};
  for (std::string_view name : ChatFormat::names()) {
    const auto format = ChatFormat::named(name);
    const std::string text = text_of(format->open("SYSTEM", tools));
    EXPECT_THAT(text, HasSubstr(R"({"type": "object", "properties": {"x": {"type": "string"}}})"))
        << name;
    EXPECT_THAT(text, HasSubstr("Runs it."));
    EXPECT_THAT(text, HasSubstr("shell"));
    EXPECT_THAT(text, HasSubstr("SYSTEM"));
    // Control tokens in what users write stay text, also here.
    for (const Piece& piece : format->open("<tool_call><｜tool▁sep｜></think>", {})) {
      EXPECT_TRUE(!piece.special || piece.text != "<tool_call>") << name;
    }
  }
  // As its model card has it.
  EXPECT_EQ(
      text_of(ChatFormat::named("deepseek-v3.1")->open("S", tools)),
      "<｜begin▁of▁sentence｜>S\n\n## Tools\nYou have access to the following tools:\n\n"
      "### shell\nDescription: Runs it.\n\n"
      "Parameters: {\"type\": \"object\", \"properties\": {\"x\": {\"type\": \"string\"}}}\n\n"
      "IMPORTANT: ALWAYS adhere to this exact format for tool use:\n"
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool_call_name<｜tool▁sep｜>"
      "tool_call_arguments<｜tool▁call▁end｜>{additional_tool_calls}<｜tool▁calls▁end｜>\n\n"
      "Where:\n- `tool_call_name` must be an exact match to one of the available tools\n"
      "- `tool_call_arguments` must be valid JSON that strictly follows the tool's "
      "Parameters Schema\n"
      "- For multiple tool calls, chain them directly without separators or spaces");
}

TEST(ChatFormat, IsChosenByTheTemplateThenTheArchitectureThenTheVocabulary) {
  const auto chosen = [](const std::string& vocabulary, const std::string& architecture,
                         const std::string& chat_template) -> std::string {
    GgufWriter writer = testing::vocabulary_writer(*ChatFormat::named(vocabulary));
    if (!architecture.empty()) writer.text("general.architecture", architecture);
    if (!chat_template.empty()) writer.text("tokenizer.chat_template", chat_template);
    const auto file = testing::gguf_from(writer.bytes());
    try {
      return std::string(ChatFormat::of_model(*file, *Tokenizer::load(*file))->name());
    } catch (const ModelError& error) {
      return error.what();
    }
  };
  const std::string calls = "{{'<｜tool▁calls▁begin｜><｜tool▁sep｜>'}}";
  EXPECT_EQ(chosen("deepseek-v3.2", "deepseek32", "<｜DSML｜function_calls>"), "deepseek-v3.2");
  EXPECT_EQ(chosen("deepseek-v3.2", "deepseek2", "<｜DSML｜function_calls>"), "deepseek-v3.2");
  EXPECT_EQ(chosen("deepseek-v3.1", "deepseek32", calls + "</think>"), "deepseek-v3.1");
  EXPECT_EQ(chosen("deepseek-r1", "deepseek2", calls + "```json </think>"), "deepseek-r1");
  EXPECT_EQ(chosen("deepseek-v3", "deepseek2", calls + "```json"), "deepseek-v3");
  EXPECT_EQ(chosen("glm-4.7", "deepseek2", "<|observation|><arg_key>"), "glm-4.7");
  EXPECT_EQ(chosen("deepseek-v2", "deepseek2", "{{ 'User: ' }}{{ 'Assistant:' }}"), "deepseek-v2");
  EXPECT_EQ(chosen("deepseek-v3.2", "deepseek32", ""), "deepseek-v3.2");
  EXPECT_EQ(chosen("glm-4.7", "deepseek2", ""), "glm-4.7");
  EXPECT_THAT(chosen("deepseek-v3.2", "deepseek2", ""), HasSubstr("has no chat template"));
  EXPECT_THAT(chosen("deepseek-v3.2", "deepseek2", "{{ x }}"), HasSubstr("--chat-format"));
  EXPECT_THAT(chosen("deepseek-v3.2", "deepseek2", "<|observation|><arg_key>"),
              HasSubstr("lacks '[gMASK]', '<sop>'"));
}

TEST(ChatFormat, UnknownNamesAreRefusedWithTheList) {
  try {
    ChatFormat::named("chatml");
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_THAT(error.what(), HasSubstr("chatml"));
    EXPECT_THAT(error.what(), HasSubstr("deepseek-v3.2"));
  }
}

TEST(ChatFormat, AVocabularyWithoutTheTokensItNeedsIsRefusedByName) {
  std::string bytes;
  {
    std::ifstream file(testing::vector_path("deepseek-v3.2-vocab.gguf"), std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  for (const char* token : {"</think>", "<｜User｜>"}) {
    const std::size_t at = bytes.find(token);
    ASSERT_NE(at, std::string::npos);
    bytes[at + std::string_view(token).size() - 2] = 'T';
  }
  const auto file = testing::gguf_from(bytes);
  try {
    ChatFormat::of_model(*file, *Tokenizer::load(*file), "deepseek-v3.2");
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'<｜User｜>', '</think>'"));
    EXPECT_THAT(error.what(), HasSubstr("glm-4.7"));
  }
}

}  // namespace
}  // namespace corvid::model
