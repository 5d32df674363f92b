// Notices a model that makes the same calls and gets the same results, over and over.
#pragma once

#include <string>
#include <vector>

#include "model/chat.h"

namespace corvid::runtime {

class RepeatGuard {
 public:
  static constexpr int kLimit = 6;

  void note(const std::vector<model::ToolCall>& calls,
            const std::vector<model::ToolResult>& results) {
    std::string round;
    for (const model::ToolCall& call : calls) round += call.name + '\0' + call.arguments + '\0';
    for (const model::ToolResult& result : results) round += result.text + '\0';
    times_ = round == last_ ? times_ + 1 : 1;
    last_ = std::move(round);
  }
  int times() const { return times_; }
  bool hopeless() const { return times_ >= kLimit; }

 private:
  std::string last_;
  int times_ = 0;
};

}  // namespace corvid::runtime
