// The hand-written splitters against the published regular expressions, run by PCRE2.
#include "model/text/pre_split.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "model/text/utf8.h"
#include "tests/model/vocabulary.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace corvid::model {
namespace {

using testing::gguf_from;
using testing::vocabulary_writer;

using Texts = std::vector<std::string>;

// PCRE2's \s has U+180E, which is no white space any more.
const std::string kS = R"(\p{White_Space})", kNotS = R"(\P{White_Space})";
const std::string kSpaces = kS + R"(*[\r\n]+|)" + kS + "+(?!" + kNotS + ")|" + kS + "+";

const std::map<std::string, Texts> kRules = {
    {"deepseek-v3",
     {R"(\p{N}{1,3})", R"([一-龥぀-ゟ゠-ヿ]+)",
      R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
      R"( ?[\p{P}\p{S}]+[\r\n]*|)" +
          kSpaces}},
    {"deepseek-llm",
     {R"([\r\n])",
      kS + "?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-"
           "Ᏽᏸ-"
           "ᏽᲐ-"
           "ᲺᲽ-"
           "Ჿᴀ"
           "-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK"
           "-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-"
           "ｚ𐐀-"
           "𐑏𐒰-"
           "𐓓𐓘-"
           "𐓻𐲀-𐲲𐳀-"
           "𐳲𑢠-𑣟𞤀-𞥃]+",
      kS + "?[!-/:-~！-／：-～‘-‟　-。]+", kS + R"(+\z)", "[一-龥ࠀ-一가-퟿]+", R"(\p{N}+)"}},
    {"glm4",
     {R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|)"
      R"(\p{N}{1,3}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*|)" +
      kSpaces}},
};

// One rule of a sequence: every match is a piece, and what lies between as well.
class Rule {
 public:
  explicit Rule(const std::string& pattern) {
    int error = 0;
    PCRE2_SIZE where = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                          PCRE2_UTF | PCRE2_UCP, &error, &where, nullptr);
    EXPECT_NE(code_, nullptr) << "error " << error << " at " << where << " of " << pattern;
    data_ = pcre2_match_data_create_from_pattern(code_, nullptr);
  }
  ~Rule() {
    pcre2_match_data_free(data_);
    pcre2_code_free(code_);
  }
  Rule(const Rule&) = delete;

  void cut(const std::string& text, Texts& out) const {
    std::size_t start = 0;
    while (start < text.size() && pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()),
                                              text.size(), start, 0, data_, nullptr) > 0) {
      const PCRE2_SIZE* match = pcre2_get_ovector_pointer(data_);
      if (match[0] > start) out.push_back(text.substr(start, match[0] - start));
      out.push_back(text.substr(match[0], match[1] - match[0]));
      start = match[1];
    }
    if (start < text.size()) out.push_back(text.substr(start));
  }

 private:
  pcre2_code* code_ = nullptr;
  pcre2_match_data* data_ = nullptr;
};

class PreSplits : public ::testing::TestWithParam<const char*> {
 protected:
  PreSplit split = pre_split_named(GetParam());
  std::mt19937 random{3};

  Texts pieces_of(std::string_view text) const {
    std::vector<std::string_view> pieces;
    split(text, pieces);
    return {pieces.begin(), pieces.end()};
  }

  std::string random_text() {
    // What the rules name, their borders, and anything.
    static const std::u32string kLikely =
        U"aZ09 \t\r\n\u0085\u00A0\u3000'sStTrReEvVmMlLdD.,!?/:~-_<>{}()[]\u00AA\u00B5\u00BD\u00D7"
        U"\u0300\u0301\u0660\u09E6\u4E00\u9FA5\u9FA6\u3040\u309F\u30A0\u30FF\u3001\u3002\u2018"
        U"\u201F\u2020\u0800\u07FF\uAC00\uD7A3\uFF01\uFF0F\uFF10\uFF21\uFF5E\u10A0\u13A0\u1C90"
        U"\u2160"
        U"\u1F600\u01BB\u0294\u2C00\U00010400\U0001E943\U0001F600\u200D\uFE0F\u2028\u180E";
    std::string text;
    for (int n = static_cast<int>(random() % 24); n > 0; --n) {
      char32_t point = kLikely[random() % kLikely.size()];
      if (random() % 6 == 0) point = random() % 0x3200;
      if (random() % 12 == 0) point = random() % 0x110000;
      if (point >= 0xD800 && point < 0xE000) point = U' ';
      append_utf8(text, point);
      if (random() % 4 == 0) append_utf8(text, point);
    }
    return text;
  }
};

TEST_P(PreSplits, AgreeWithThePublishedExpressions) {
  std::vector<std::unique_ptr<Rule>> rules;
  for (const std::string& pattern : kRules.at(GetParam())) {
    rules.push_back(std::make_unique<Rule>(pattern));
  }
  for (int round = 0; round < 5000; ++round) {
    const std::string text = random_text();
    Texts expected;
    if (!text.empty()) expected.push_back(text);
    for (const auto& rule : rules) {
      Texts next;
      for (const std::string& piece : expected) rule->cut(piece, next);
      expected = std::move(next);
    }
    ASSERT_EQ(pieces_of(text), expected) << "'" << text << "'";
  }
}

TEST_P(PreSplits, AnyBytesConcatenateBack) {
  for (int round = 0; round < 5000; ++round) {
    std::string text = random_text();
    for (char& c : text) {
      if (random() % 20 == 0) c = static_cast<char>(random());
    }
    std::string joined;
    for (const std::string& piece : pieces_of(text)) {
      ASSERT_FALSE(piece.empty());
      joined += piece;
    }
    ASSERT_EQ(joined, text);
  }
}

// A quadratic scan of a megabyte would run into the test's time limit.
TEST_P(PreSplits, TakeLinearTime) {
  for (const char* unit : {"a", " ", "\n", "\x80", "!", "1", "'", "\u3000", "中", " a", "\t\n"}) {
    std::string text;
    while (text.size() < 1 << 20) text += unit;
    EXPECT_FALSE(pieces_of(text).empty());
  }
}

// What the tokenizer calls settled stays, whatever follows.
TEST_P(PreSplits, SettledTokensStay) {
  const auto format = ChatFormat::named("deepseek-v3.2");
  const auto tokenizer =
      Tokenizer::load(*gguf_from(vocabulary_writer(*format, GetParam()).bytes()));
  for (int round = 0; round < 2000; ++round) {
    const std::string text = random_text(), more = random_text();
    const std::vector<Token> settled = tokenizer->encode_settled(text);
    const std::vector<Token> whole = tokenizer->encode(text + more);
    ASSERT_LE(settled.size(), whole.size());
    ASSERT_TRUE(std::equal(settled.begin(), settled.end(), whole.begin()))
        << "'" << text << "' '" << more << "'";
  }
}

INSTANTIATE_TEST_SUITE_P(All, PreSplits, ::testing::Values("deepseek-v3", "deepseek-llm", "glm4"),
                         [](const auto& info) {
                           std::string name(info.param);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace corvid::model
