#include "tools/text.h"

#include <gtest/gtest.h>

#include <random>

#include "model/text/utf8.h"

namespace corvid::tools {
namespace {

// The inverse of escape_invalid, for a text that was escaped.
std::string unescape(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "\\x") {
      bytes += static_cast<char>(std::stoi(std::string(text.substr(i + 2, 2)), nullptr, 16));
      i += 3;
    } else {
      bytes += text[i];
    }
  }
  return bytes;
}

std::string random_bytes(std::mt19937& random, std::size_t size) {
  static const std::string kPieces[] = {
      "a",    "\\x",  "\\xff",    "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x90\xA6",
      "\xFF", "\xC3", "\xE2\x82", "\n"};
  std::string bytes;
  while (bytes.size() < size) bytes += kPieces[random() % std::size(kPieces)];
  return bytes;
}

TEST(Text, ValidTextIsNotTouched) {
  const std::string text = "plain \\xff, caf\xC3\xA9 \xF0\x9F\x90\xA6\x1B[0m\n";
  EXPECT_EQ(escape_invalid(text), text);
}

TEST(Text, EscapedBytesCanBeRecovered) {
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    const std::string bytes = random_bytes(random, 1 + random() % 40) + "\xFE";
    const std::string text = escape_invalid(bytes);
    EXPECT_TRUE(model::is_utf8(text));
    // A lone backslash-x that does not look like an escape is text: keep it out of the inverse.
    std::string marked;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool escape = text.substr(i, 2) == "\\x" && i + 3 < text.size() &&
                          std::isxdigit(text[i + 2]) && std::isxdigit(text[i + 3]);
      if (text[i] == '\\' && !escape)
        marked += "\\x5c";
      else
        marked += text[i];
    }
    EXPECT_EQ(unescape(marked), bytes);
  }
}

TEST(Text, AStreamFedInPiecesGivesTheSameAsFedAtOnce) {
  std::mt19937 random(2);
  for (int round = 0; round < 200; ++round) {
    const std::string bytes = random_bytes(random, 1 + random() % 60);
    Utf8Stream whole, pieces;
    std::string expected = whole.push(bytes);
    expected += whole.finish();
    std::string got;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t size = 1 + random() % 5;
      const std::string piece = pieces.push(std::string_view(bytes).substr(at, size));
      EXPECT_TRUE(model::is_utf8(piece));
      got += piece;
      at += size;
    }
    got += pieces.finish();
    EXPECT_EQ(got, expected);
  }
}

TEST(Text, ACutKeepsHeadAndTailWithinTheBudgetAndSaysHowMuchIsMissing) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "line " + std::to_string(i) + " \xE2\x82\xAC\n";
  for (std::size_t budget : {200u, 201u, 202u, 203u, 1000u, 5000u}) {
    const std::string cut = cut_middle(text, budget, "see FILE");
    EXPECT_LE(cut.size(), budget);
    EXPECT_TRUE(model::is_utf8(cut));
    EXPECT_TRUE(cut.starts_with("line 0 "));
    EXPECT_TRUE(cut.ends_with("line 999 \xE2\x82\xAC\n"));
    EXPECT_NE(cut.find(" bytes left out; see FILE ...]\n"), std::string::npos);
  }
  EXPECT_EQ(cut_middle("short", 100), "short");
}

}  // namespace
}  // namespace corvid::tools
