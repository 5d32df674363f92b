#include "model/compute/cpu/kv_pages.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace corvid::model {
namespace {

constexpr float kMaxHalf = 65504;
constexpr std::size_t kBlockBytes = 4 << 20;  // of several pages: it gets large pages of memory

}  // namespace

void KvPages::reserve(int n_pages) {
  while (static_cast<int>(pages_.size()) < n_pages) {
    const std::size_t bytes = layout_.page_bytes();
    const std::size_t in_block = std::max<std::size_t>(kBlockBytes / bytes, 1);
    const std::size_t at = pages_.size() % in_block;
    if (at == 0) blocks_.emplace_back(in_block * bytes);
    pages_.push_back(blocks_.back().data() + at * bytes);
    std::memset(pages_.back(), 0, bytes);
  }
}

void KvPages::copy(int from, int to) {
  std::memcpy(pages_[to], pages_[from], layout_.page_bytes());
}

void KvPages::put_row(int page, int layer, int slot, const float* values) {
  std::byte* row = at(page, layer) + slot * layout_.row_bytes();
  const int n = shape().latent + shape().rope;
  if (layout_.exact_rows) {
    std::memcpy(row, values, n * sizeof(float));
    return;
  }
  std::uint16_t* out = reinterpret_cast<std::uint16_t*>(row);
  for (int i = 0; i < n; ++i) out[i] = f32_to_f16(std::clamp(values[i], -kMaxHalf, kMaxHalf));
}

void KvPages::get_row(int page, int layer, int slot, float* values) const {
  const std::byte* row = this->row(page, layer, slot);
  dequantize_row(layout_.exact_rows ? Type::f32 : Type::f16, row,
                 {values, static_cast<std::size_t>(width())});
}

void KvPages::put_key(int page, int layer, int slot, const float* key) {
  std::byte* keys = at(page, layer) + layout_.keys_at;
  const int n = shape().index;
  if (layout_.exact_keys) {
    for (int i = 0; i < n; ++i) std::memcpy(keys + layout_.key_at(slot, i), key + i, 4);
    return;
  }
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::fabs(key[i]));
  const float inverse = largest > 0 ? 127 / largest : 0;
  for (int i = 0; i < n; ++i) {
    keys[layout_.key_at(slot, i)] = static_cast<std::byte>(std::lrint(key[i] * inverse) + 128);
  }
  const float scale = largest / 127;
  std::memcpy(at(page, layer) + layout_.scales_at + slot * sizeof(float), &scale, sizeof scale);
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
