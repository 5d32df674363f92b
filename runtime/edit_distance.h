// How far apart two words are, for "did you mean": letters to add, drop or replace (Levenshtein).
#pragma once

#include <cstddef>
#include <string_view>

namespace corvid::runtime {

std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace corvid::runtime
