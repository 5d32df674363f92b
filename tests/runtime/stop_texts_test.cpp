#include "runtime/serve/stop_texts.h"

#include <gtest/gtest.h>

namespace corvid::runtime {
namespace {

// Whoever looks at each piece by itself shows a stop text that lies across two.
TEST(StopTexts, AreFoundHoweverTheContentIsCut) {
  const std::string content = "one caf\xC3\xA9 two", stop = "f\xC3\xA9";
  int n_shown_in_pieces = 0;
  for (std::size_t cut = 0; cut <= content.size(); ++cut) {
    const std::string pieces[] = {content.substr(0, cut), content.substr(cut)};
    StopTexts texts({"never", stop});
    std::string shown, plain;
    for (const std::string& piece : pieces) {
      plain += piece.substr(0, piece.find(stop));
      shown += texts.feed(piece);
    }
    n_shown_in_pieces += plain.find(stop) != std::string::npos;
    EXPECT_EQ(shown + texts.rest(), "one ca") << "cut at " << cut;
    EXPECT_EQ(texts.found(), stop);
  }
  EXPECT_EQ(n_shown_in_pieces, 2) << "no harm shown";  // inside the text, and inside a character
}

}  // namespace
}  // namespace corvid::runtime
