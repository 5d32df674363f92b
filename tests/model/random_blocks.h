// Random weights of every type, as a file would hold them.
#pragma once

#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "model/compute/cpu/panels.h"

namespace corvid::model::testing {

inline std::vector<std::byte> encode(Type type, std::span<const float> values) {
  std::vector<std::byte> out(row_bytes(type, static_cast<std::int64_t>(values.size())));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t half = type == Type::f16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
    if (type == Type::f32) std::memcpy(out.data() + 4 * i, &values[i], 4);
    if (type != Type::f32) std::memcpy(out.data() + 2 * i, &half, 2);
  }
  return out;
}

// Any bytes are blocks, but their scales should be numbers of a size.
inline std::vector<std::byte> random_blocks(Type type, std::size_t n, std::mt19937& random) {
  std::vector<std::byte> out(row_bytes(type, static_cast<std::int64_t>(n)));
  for (std::byte& byte : out) byte = static_cast<std::byte>(random());
  const TypeTraits& t = traits(type);
  std::vector<int> halves = {0};
  if (type == Type::q2_k) halves = {80, 82};
  if (type == Type::q3_k) halves = {108};
  if (type == Type::q6_k) halves = {208};
  if (panel_format(type).stores_minimums() && type != Type::q2_k) halves = {0, 2};
  for (std::byte* block = out.data(); block < out.data() + out.size(); block += t.block_bytes) {
    if (type == Type::mxfp4) {
      block[0] = static_cast<std::byte>(118 + random() % 4);
      continue;
    }
    for (int at : halves) {
      const std::uint16_t half = f32_to_f16(0.001f * static_cast<float>(1 + random() % 8));
      std::memcpy(block + at, &half, 2);
    }
  }
  return out;
}

}  // namespace corvid::model::testing
