#include "runtime/token_sums.h"

#include <cstdio>

namespace corvid::runtime {

void TokenSums::add(const model::Usage& step) {
  ++steps;
  usage.prefilled += step.prefilled;
  usage.reused += step.reused;
  usage.generated += step.generated;
  usage.forced += step.forced;
  usage.prefill_seconds += step.prefill_seconds;
  usage.decode_seconds += step.decode_seconds;
}

std::string print(const TokenSums& sums) {
  const model::Usage& usage = sums.usage;
  std::string text = std::to_string(sums.steps) + (sums.steps == 1 ? " step" : " steps");
  if (usage.prefilled + usage.reused > 0) {
    text += ", read " + std::to_string(usage.prefilled + usage.reused);
    if (usage.reused > 0) text += " (" + std::to_string(usage.reused) + " reused)";
  }
  const int written = usage.generated + usage.forced;
  if (written > 0) text += ", wrote " + std::to_string(written);
  if (written > 0 && usage.decode_seconds > 0) {
    char rate[40];
    std::snprintf(rate, sizeof rate, " at %.1f tokens/s", written / usage.decode_seconds);
    text += rate;
  }
  return text;
}

}  // namespace corvid::runtime
