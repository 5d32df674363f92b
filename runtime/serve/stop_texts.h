// Texts that end a reply before them, looked for while the reply grows.
//
// The first that is complete counts. What may still be the start of one is held back, so nothing of
// a stop text is ever shown, however the content is cut. One thread at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace corvid::runtime {

class StopTexts {
 public:
  explicit StopTexts(std::vector<std::string> texts) : texts_(std::move(texts)) {}

  // What can be shown now. Nothing more once a text was found.
  std::string feed(std::string_view content);
  // The content has ended: what was held back.
  std::string rest();
  // Empty: none yet.
  const std::string& found() const { return found_; }

 private:
  std::size_t held_back() const;

  const std::vector<std::string> texts_;
  std::string found_;
  std::string pending_;
};

}  // namespace corvid::runtime
