#include "model/compute/cpu/kv_pages.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "model/error.h"

namespace corvid::model {
namespace {

constexpr float kMaxHalf = 65504;

constexpr std::size_t kLine = 64;

std::size_t round_up(std::size_t n, std::size_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

KvPages::KvPages(const KvShape& shape, Precision precision)
    : shape_(shape),
      exact_(precision == Precision::exact),
      width_(static_cast<int>(round_up(shape.latent + shape.rope, 16))),
      value_bytes_(exact_ ? 4 : 2),
      key_value_bytes_(exact_ ? 4 : 1) {
  if (!exact_ && !std::has_single_bit(static_cast<unsigned>(std::max(shape.index, 1)))) {
    throw ModelError("index keys of " + std::to_string(shape.index) +
                     " values: only powers of two can be rotated");
  }
  keys_at_ = round_up(kPageTokens * row_bytes(), kLine);
  scales_at_ = keys_at_ + round_up(kPageTokens * key_bytes(), kLine);
  const bool scales = !exact_ && shape.index > 0;
  layer_bytes_ = scales_at_ + (scales ? kPageTokens * sizeof(float) : 0);
}

void KvPages::reserve(int n_pages) {
  while (static_cast<int>(pages_.size()) < n_pages) {
    Aligned<std::byte> page(layer_bytes_ * shape_.layers);
    std::memset(page.data(), 0, layer_bytes_ * shape_.layers);
    pages_.push_back(std::move(page));
  }
}

void KvPages::copy(int from, int to) {
  std::memcpy(pages_[to].data(), pages_[from].data(), layer_bytes_ * shape_.layers);
}

std::string KvPages::format() const {
  return (exact_ ? "f32 " : "f16+i8 ") + std::to_string(shape_.layers) + "x(" +
         std::to_string(shape_.latent) + "+" + std::to_string(shape_.rope) + "+" +
         std::to_string(shape_.index) + ")";
}

std::size_t KvPages::bytes(int n_tokens) const {
  const std::size_t scale = !exact_ && shape_.index > 0 ? sizeof(float) : 0;
  const std::size_t latent = (shape_.latent + shape_.rope) * value_bytes_;
  return n_tokens * shape_.layers * (latent + key_bytes() + scale);
}

std::size_t KvPages::key_at(int slot, int i) const {
  if (exact_) return (static_cast<std::size_t>(i) * kPageTokens + slot) * sizeof(float);
  return (static_cast<std::size_t>(i) / 4 * kPageTokens + slot) * 4 + i % 4;
}

void KvPages::read(int page, int n_tokens, std::byte* out) const {
  const std::size_t latent = (shape_.latent + shape_.rope) * value_bytes_;
  for (int layer = 0; layer < shape_.layers; ++layer) {
    const std::byte* base = at(page, layer);
    for (int t = 0; t < n_tokens; ++t) {
      std::memcpy(out, base + t * row_bytes(), latent);
      out += latent;
      for (int i = 0; i < shape_.index; ++i, out += key_value_bytes_) {
        std::memcpy(out, base + keys_at_ + key_at(t, i), key_value_bytes_);
      }
      if (exact_ || shape_.index == 0) continue;
      std::memcpy(out, base + scales_at_ + t * sizeof(float), sizeof(float));
      out += sizeof(float);
    }
  }
}

void KvPages::write(int page, int n_tokens, const std::byte* in) {
  const std::size_t latent = (shape_.latent + shape_.rope) * value_bytes_;
  for (int layer = 0; layer < shape_.layers; ++layer) {
    std::byte* base = at(page, layer);
    for (int t = 0; t < n_tokens; ++t) {
      std::memcpy(base + t * row_bytes(), in, latent);
      in += latent;
      for (int i = 0; i < shape_.index; ++i, in += key_value_bytes_) {
        std::memcpy(base + keys_at_ + key_at(t, i), in, key_value_bytes_);
      }
      if (exact_ || shape_.index == 0) continue;
      std::memcpy(base + scales_at_ + t * sizeof(float), in, sizeof(float));
      in += sizeof(float);
    }
  }
}

void KvPages::put_row(int page, int layer, int slot, const float* values) {
  std::byte* row = at(page, layer) + slot * row_bytes();
  const int n = shape_.latent + shape_.rope;
  if (exact_) {
    std::memcpy(row, values, n * sizeof(float));
    return;
  }
  std::uint16_t* out = reinterpret_cast<std::uint16_t*>(row);
  for (int i = 0; i < n; ++i) out[i] = f32_to_f16(std::clamp(values[i], -kMaxHalf, kMaxHalf));
}

void KvPages::put_key(int page, int layer, int slot, const float* key) {
  std::byte* keys = at(page, layer) + keys_at_;
  if (exact_) {
    for (int i = 0; i < shape_.index; ++i) std::memcpy(keys + key_at(slot, i), key + i, 4);
    return;
  }
  float largest = 0;
  for (int i = 0; i < shape_.index; ++i) largest = std::max(largest, std::fabs(key[i]));
  const float inverse = largest > 0 ? 127 / largest : 0;
  for (int i = 0; i < shape_.index; ++i) {
    keys[key_at(slot, i)] = static_cast<std::byte>(std::lrint(key[i] * inverse) + 128);
  }
  const float scale = largest / 127;
  std::memcpy(at(page, layer) + scales_at_ + slot * sizeof(float), &scale, sizeof scale);
}

void hadamard(float* values, int n) {
  for (int step = 1; step < n; step *= 2) {
    for (int i = 0; i < n; i += 2 * step) {
      for (int j = i; j < i + step; ++j) {
        const float a = values[j], b = values[j + step];
        values[j] = a + b;
        values[j + step] = a - b;
      }
    }
  }
  const float norm = 1 / std::sqrt(static_cast<float>(n));
  for (int i = 0; i < n; ++i) values[i] *= norm;
}

}  // namespace corvid::model
