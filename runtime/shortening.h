// Makes room in a full context: the oldest long tool results are cut to their head and tail.
//
// What the model said and what the user asked stays. Free functions on plain values.
#pragma once

#include <vector>

#include "runtime/dialogue.h"

namespace corvid::runtime {

// Cuts results, oldest first, until about `tokens` are saved or none is left to cut. Returns how
// many were cut.
int shorten_oldest_results(std::vector<Entry>& history, int tokens);

}  // namespace corvid::runtime
