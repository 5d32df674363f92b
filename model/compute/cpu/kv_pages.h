// The memory of the KV pages: latents token by token, index keys with the tokens side by side.
//
// exact: latents and keys f32. fast: latents f16 (normed, so far from its limits, and 8
// times as fine as bf16); keys rotated by a Hadamard matrix (which leaves
// their products with rotated queries unchanged and spreads outliers), then int8 with a scale each.
// Pages never move. Owned by the CPU back end; different rows may be stored by different threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model/compute/backend.h"
#include "model/compute/cpu/packed_matrix.h"

namespace corvid::model {

class KvPages {
 public:
  KvPages() = default;
  KvPages(const KvShape& shape, Precision precision);

  void reserve(int n_pages);
  void copy(int from, int to);
  std::string format() const;
  std::size_t bytes(int n_tokens) const;
  void read(int page, int n_tokens, std::byte* out) const;
  void write(int page, int n_tokens, const std::byte* in);

  const KvShape& shape() const { return shape_; }
  int width() const { return width_; }  // of a cached row: latent + rope, padded to 16 with zeros
  std::size_t row_bytes() const { return width_ * value_bytes_; }
  std::size_t key_bytes() const { return shape_.index * key_value_bytes_; }

  const std::byte* row(int page, int layer, int slot) const {
    return at(page, layer) + slot * row_bytes();
  }
  // exact: f32 [index][kPageTokens]; fast: u8 [index / 4][kPageTokens][4].
  const std::byte* keys(int page, int layer) const { return at(page, layer) + keys_at_; }
  const float* key_scales(int page, int layer) const {
    return reinterpret_cast<const float*>(at(page, layer) + scales_at_);
  }

  void put_row(int page, int layer, int slot, const float* values);  // [latent + rope]
  void put_key(int page, int layer, int slot, const float* key);     // [index]; fast: rotated

 private:
  std::byte* at(int page, int layer) const { return pages_[page].data() + layer * layer_bytes_; }
  std::size_t key_at(int slot, int i) const;

  KvShape shape_;
  bool exact_ = true;
  int width_ = 0;
  std::size_t value_bytes_ = 0, key_value_bytes_ = 0;
  std::size_t keys_at_ = 0, scales_at_ = 0, layer_bytes_ = 0;  // within a page
  std::vector<Aligned<std::byte>> pages_;
};

// In place, orthonormal; n a power of two.
void hadamard(float* values, int n);

}  // namespace corvid::model
