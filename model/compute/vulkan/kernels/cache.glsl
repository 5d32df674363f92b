// A page of the KV cache: 64 tokens of one layer, as model/compute/kv_layout.h says.
//   latents [64][kWidth] f32, or f16 in pairs
//   keys    [kIndex][64] f32, or u8 [kIndex / 4][64][4] = code + 128, and f32 scales [64]

layout(constant_id = 0) const bool kExact = true;  // f32 throughout
layout(constant_id = 1) const uint kLatent = 512;
layout(constant_id = 2) const uint kRope = 64;
layout(constant_id = 3) const uint kIndex = 0;
layout(constant_id = 4) const uint kWidth = 576;  // latent + rope, padded
layout(constant_id = 5) const uint kKeysAt = 0;   // in words, of a layer of a page
layout(constant_id = 6) const uint kScalesAt = 0;

const uint kPageTokens = 64;
const uint kRowWords = kExact ? kWidth : kWidth / 2;

// Rotates pair i: (2 i, 2 i + 1), or (i, i + kRope / 2) if half_split.
uvec2 rope_pair(uint i, bool half_split) {
  return half_split ? uvec2(i, i + kRope / 2) : uvec2(2 * i, 2 * i + 1);
}

// `angles` holds cos, sin of every pair of every row of the batch.
vec2 turn(Floats angles, uint row, uint i, vec2 value) {
  const uint at = row * kRope + 2 * i;
  const float c = angles.v[at], s = angles.v[at + 1];
  return vec2(value.x * c - value.y * s, value.x * s + value.y * c);
}
