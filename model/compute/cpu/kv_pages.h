// The memory of the KV pages on the CPU; kv_layout.h says what lies where.
//
// Pages never move. Owned by the CPU back end; different rows may be stored by different threads.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/compute/cpu/packed_matrix.h"
#include "model/compute/kv_layout.h"

namespace corvid::model {

class KvPages {
 public:
  KvPages() = default;
  KvPages(const KvShape& shape, Precision precision) : layout_(shape, precision) {}

  const KvLayout& layout() const { return layout_; }
  const KvShape& shape() const { return layout_.shape; }
  int width() const { return layout_.width; }

  void reserve(int n_pages);
  void copy(int from, int to);
  void read(int page, int n_tokens, std::byte* out) const {
    layout_.read(pages_[page], n_tokens, out);
  }
  void write(int page, int n_tokens, const std::byte* in) {
    layout_.write(pages_[page], n_tokens, in);
  }

  const std::byte* row(int page, int layer, int slot) const {
    return at(page, layer) + slot * layout_.row_bytes();
  }
  const std::byte* keys(int page, int layer) const { return at(page, layer) + layout_.keys_at; }
  const float* key_scales(int page, int layer) const {
    return reinterpret_cast<const float*>(at(page, layer) + layout_.scales_at);
  }

  void put_row(int page, int layer, int slot, const float* values);  // [latent + rope]
  void get_row(int page, int layer, int slot, float* values) const;  // [width]
  void put_key(int page, int layer, int slot, const float* key);     // [index]; if int8: rotated

 private:
  std::byte* at(int page, int layer) const { return pages_[page] + layer * layout_.layer_bytes; }

  KvLayout layout_;
  std::vector<Aligned<std::byte>> blocks_;
  std::vector<std::byte*> pages_;  // in the blocks
};

// In place, orthonormal; n a power of two.
void hadamard(float* values, int n);

}  // namespace corvid::model
