// How a page of the KV cache lies in memory: per layer, latents token by token, and index keys with
// the tokens side by side. Back ends share it, so that they exchange pages.
//
// exact: latents and keys f32. fast: latents f16 (normed, so far from its limits, and 8
// times as fine as bf16); keys rotated by a Hadamard matrix (which leaves
// their products with rotated queries unchanged and spreads outliers), then int8 with a scale each.
// fine: latents f16, keys f32.
// Plain values. Throws ModelError for a shape that cannot be cached.
#pragma once

#include <cstddef>
#include <string>

#include "model/compute/backend.h"

namespace corvid::model {

struct KvLayout {
  KvLayout() = default;
  KvLayout(const KvShape& shape, Precision precision);

  KvShape shape;
  bool exact_rows = true, exact_keys = true;  // f32
  int width = 0;  // of a cached row: latent + rope, padded to 16 with zeros
  std::size_t value_bytes = 0, key_value_bytes = 0;
  // Within a layer: rows [kPageTokens][width]; keys, exact: f32 [index][kPageTokens], else: u8
  // [index / 4][kPageTokens][4] = code + 128; their scales: f32 [kPageTokens].
  std::size_t keys_at = 0, scales_at = 0, layer_bytes = 0;

  std::size_t row_bytes() const { return width * value_bytes; }
  std::size_t key_bytes() const { return shape.index * key_value_bytes; }
  std::size_t scale_bytes() const { return exact_keys || shape.index == 0 ? 0 : sizeof(float); }
  std::size_t page_bytes() const { return layer_bytes * shape.layers; }
  // Of value i of the key in a slot, within a layer's keys.
  std::size_t key_at(int slot, int i) const;

  // The first n tokens of a page as plain bytes, token by token; see Backend::read_page.
  std::string format() const;
  std::size_t bytes(int n_tokens) const;
  void read(const std::byte* page, int n_tokens, std::byte* out) const;
  void write(std::byte* page, int n_tokens, const std::byte* in) const;
};

}  // namespace corvid::model
