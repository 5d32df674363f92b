#include "model/compute/kv_layout.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "model/error.h"

namespace corvid::model {
namespace {

constexpr std::size_t kLine = 64;

std::size_t round_up(std::size_t n, std::size_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

KvLayout::KvLayout(const KvShape& kv_shape, Precision precision)
    : shape(kv_shape),
      exact_rows(precision == Precision::exact),
      exact_keys(precision != Precision::fast),
      width(static_cast<int>(round_up(shape.latent + shape.rope, 16))),
      value_bytes(exact_rows ? 4 : 2),
      key_value_bytes(exact_keys ? 4 : 1) {
  if (!exact_keys && !std::has_single_bit(static_cast<unsigned>(std::max(shape.index, 1)))) {
    throw ModelError("index keys of " + std::to_string(shape.index) +
                     " values: only powers of two can be rotated");
  }
  keys_at = round_up(kPageTokens * row_bytes(), kLine);
  scales_at = keys_at + round_up(kPageTokens * key_bytes(), kLine);
  layer_bytes = scales_at + kPageTokens * scale_bytes();
}

std::size_t KvLayout::key_at(int slot, int i) const {
  if (exact_keys) return (static_cast<std::size_t>(i) * kPageTokens + slot) * sizeof(float);
  return (static_cast<std::size_t>(i) / 4 * kPageTokens + slot) * 4 + i % 4;
}

std::string KvLayout::format() const {
  const char* const types = exact_rows ? "f32 " : exact_keys ? "f16+f32 " : "f16+i8 ";
  return types + std::to_string(shape.layers) + "x(" + std::to_string(shape.latent) + "+" +
         std::to_string(shape.rope) + "+" + std::to_string(shape.index) + ")";
}

std::size_t KvLayout::bytes(int n_tokens) const {
  const std::size_t latent = (shape.latent + shape.rope) * value_bytes;
  return n_tokens * shape.layers * (latent + key_bytes() + scale_bytes());
}

void KvLayout::read(const std::byte* page, int n_tokens, std::byte* out) const {
  const std::size_t latent = (shape.latent + shape.rope) * value_bytes;
  for (int layer = 0; layer < shape.layers; ++layer, page += layer_bytes) {
    for (int t = 0; t < n_tokens; ++t) {
      std::memcpy(out, page + t * row_bytes(), latent);
      out += latent;
      for (int i = 0; i < shape.index; ++i, out += key_value_bytes) {
        std::memcpy(out, page + keys_at + key_at(t, i), key_value_bytes);
      }
      std::memcpy(out, page + scales_at + t * scale_bytes(), scale_bytes());
      out += scale_bytes();
    }
  }
}

void KvLayout::write(std::byte* page, int n_tokens, const std::byte* in) const {
  const std::size_t latent = (shape.latent + shape.rope) * value_bytes;
  for (int layer = 0; layer < shape.layers; ++layer, page += layer_bytes) {
    for (int t = 0; t < n_tokens; ++t) {
      std::memcpy(page + t * row_bytes(), in, latent);
      in += latent;
      for (int i = 0; i < shape.index; ++i, in += key_value_bytes) {
        std::memcpy(page + keys_at + key_at(t, i), in, key_value_bytes);
      }
      std::memcpy(page + scales_at + t * scale_bytes(), in, scale_bytes());
      in += scale_bytes();
    }
  }
}

}  // namespace corvid::model
