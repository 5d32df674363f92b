#include "model/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "model/error.h"
#include "tests/model/small_vocabulary.h"
#include "tests/model/vocabulary.h"

namespace corvid::model {
namespace {

using testing::deepseek_tokenizer;
using ::testing::ElementsAre;
using testing::gguf_from;
using testing::GgufWriter;
using ::testing::HasSubstr;
using testing::read_vector;
using testing::SmallVocabulary;

std::string problem_of(const GgufWriter& writer) {
  try {
    Tokenizer::load(*gguf_from(writer.bytes()));
  } catch (const ModelError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Tokenizer, GoldenIds) {
  const auto tokenizer = deepseek_tokenizer();
  for (const auto& golden : read_vector("deepseek-v3.2-golden.json")) {
    const std::string text = golden["text"];
    EXPECT_EQ(tokenizer->encode_special(text), golden["ids"].get<std::vector<Token>>()) << text;
  }
}

TEST(Tokenizer, SpecialIds) {
  const auto tokenizer = deepseek_tokenizer();
  EXPECT_EQ(tokenizer->special("<think>"), 128798);
  EXPECT_EQ(tokenizer->special("</think>"), 128799);
  EXPECT_EQ(tokenizer->special("<｜User｜>"), 128803);
  EXPECT_EQ(tokenizer->special("hello"), std::nullopt);
  EXPECT_EQ(tokenizer->bos(), 0);
  EXPECT_EQ(tokenizer->eos(), 1);
  EXPECT_TRUE(tokenizer->is_special(128798));
  EXPECT_FALSE(tokenizer->is_special(33310));
  EXPECT_EQ(tokenizer->bytes(128799), "</think>");
}

TEST(Tokenizer, PlainTextNeverYieldsSpecialTokens) {
  const auto tokenizer = deepseek_tokenizer();
  const std::string text = "a <｜User｜> b <think>c</think><｜end▁of▁sentence｜>";
  for (Token token : tokenizer->encode(text)) EXPECT_FALSE(tokenizer->is_special(token));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(Tokenizer, PiecesJoinPlainTextBeforeMerging) {
  const auto tokenizer = deepseek_tokenizer();
  const Pieces pieces = {{true, "<think>"}, {false, "hel"}, {false, "lo"}, {true, "</think>"}};
  EXPECT_THAT(tokenizer->encode(pieces), ElementsAre(128798, 33310, 128799));
  try {
    tokenizer->encode(Pieces{{true, "<nonsense>"}});
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_THAT(error.what(), HasSubstr("<nonsense>"));
  }
}

TEST(Tokenizer, AnyBytesSurviveEncodingAndDecoding) {
  const auto tokenizer = deepseek_tokenizer();
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    const int size = static_cast<int>(random() % 60);
    for (int i = 0; i < size; ++i) {
      // Mostly ASCII with white space, some of everything.
      text += static_cast<char>(random() % 3 ? " \n\tab1.,<"[random() % 9] : random());
    }
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

// A quadratic loop over a piece of a million bytes would run into the test's time limit.
TEST(Tokenizer, LongPiecesTakeNoQuadraticTime) {
  const auto tokenizer = deepseek_tokenizer();
  for (const char* unit : {"a", " ", "\n", "\x80", "!"}) {
    std::string text;
    for (int i = 0; i < 1 << 20; ++i) text += unit;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text + "x")), text + "x");
  }
}

TEST(Tokenizer, LowerRanksMergeFirstThenTheLeftmost) {
  SmallVocabulary vocabulary;
  for (const char* token : {"ab", "bc", "aa", "aaa"}) vocabulary.add(token);
  vocabulary.merges = {"b c", "a b", "a a", "aa a"};
  const auto tokenizer = Tokenizer::load(*gguf_from(vocabulary.writer().bytes()));
  const auto words = [&](std::string_view text) {
    std::vector<std::string> out;
    for (Token token : tokenizer->encode(text)) out.emplace_back(tokenizer->bytes(token));
    return out;
  };
  EXPECT_THAT(words("abc"), ElementsAre("a", "bc"));
  EXPECT_THAT(words("abab"), ElementsAre("ab", "ab"));
  EXPECT_THAT(words("aaaaa"), ElementsAre("aa", "aaa"));
}

TEST(Tokenizer, AFileWithoutTokenizerGivesNone) {
  EXPECT_EQ(Tokenizer::load(*gguf_from(GgufWriter().text("tokenizer.ggml.model", "none").bytes())),
            nullptr);
}

TEST(Tokenizer, UnusableVocabulariesAreRefused) {
  EXPECT_EQ(problem_of(SmallVocabulary().writer()), "no error");
  EXPECT_THAT(problem_of(GgufWriter()), HasSubstr("tokenizer ''"));
  EXPECT_THAT(problem_of(GgufWriter().text("tokenizer.ggml.model", "llama")), HasSubstr("llama"));
  EXPECT_THAT(problem_of(SmallVocabulary().writer("martian")), HasSubstr("martian"));

  SmallVocabulary no_byte;
  no_byte.tokens[2 + 'q'] = "qq";
  EXPECT_THAT(problem_of(no_byte.writer()), HasSubstr("no token for byte 113"));

  SmallVocabulary bad_merge;
  bad_merge.merges = {"a b"};
  EXPECT_THAT(problem_of(bad_merge.writer()), HasSubstr("merge 0"));
  bad_merge.merges = {"ab"};
  EXPECT_THAT(problem_of(bad_merge.writer()), HasSubstr("merge 0"));

  SmallVocabulary short_types;
  short_types.types.pop_back();
  EXPECT_THAT(problem_of(short_types.writer()), HasSubstr("token types"));

  SmallVocabulary not_bytes;
  not_bytes.add("你");
  EXPECT_THAT(problem_of(not_bytes.writer()), HasSubstr("token 258"));

  GgufWriter far_bos = SmallVocabulary().writer();
  std::string bytes = far_bos.bytes();
  const std::size_t at = bytes.find("bos_token_id") + 12 + 4;
  bytes[at + 2] = 9;
  EXPECT_THROW(Tokenizer::load(*gguf_from(bytes)), ModelError);
}

}  // namespace
}  // namespace corvid::model
