// Sizes that the operations of the Vulkan back end share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace corvid::model {

inline constexpr int kTileRows = 8;  // that a kernel multiplies with a weight that it has read
inline constexpr int kLargeBatch = 16;
// Of more rows, tiles go through shared memory: rows that share a reading of the weights.
inline constexpr int kWideTile = 64, kPairTile = 32;
inline constexpr int kTiledRows = 64;  // of weights, in such a tile
inline constexpr int kAngles = 1024;   // of a rope's two tables; also in cache.glsl
inline constexpr std::size_t kScratchFloats = 16 << 20;  // of one group of rows

constexpr std::uint32_t divide_up(std::size_t a, std::size_t b) {
  return static_cast<std::uint32_t>((a + b - 1) / b);
}

// Rows of intermediate results start where four values can be read at once.
constexpr std::uint32_t padded(std::size_t width) {
  return divide_up(width, 16) * 16;
}

constexpr int tile_for(int n_rows) {
  return n_rows == 1 ? 1 : n_rows <= 4 ? 4 : kTileRows;
}

}  // namespace corvid::model
