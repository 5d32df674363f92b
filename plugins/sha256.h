// SHA-256 (FIPS 180-4), for the proof that the one who logged in is the one who fetches the token.
// Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace corvid::plugins {

std::array<std::uint8_t, 32> sha256(std::string_view bytes);

}  // namespace corvid::plugins
