// What replies cost in tokens and time, summed over a turn or a session. Plain values.
#pragma once

#include <string>

#include "model/chat.h"

namespace corvid::runtime {

struct TokenSums {
  int steps = 0;
  model::Usage usage;
  void add(const model::Usage& step);
};
// "2 steps, read 1532 (1480 reused), wrote 240 at 31.0 tokens/s"
std::string print(const TokenSums& sums);

}  // namespace corvid::runtime
