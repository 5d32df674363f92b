// A page of the KV cache: 64 tokens of one layer, as model/compute/kv_layout.h says.
//   latents [64][kWidth] f32, or f16 in pairs
//   keys    [kIndex][64] f32, or u8 [kIndex / 4][64][4] = code + 128, and f32 scales [64]

layout(constant_id = 0) const bool kExactRows = true;  // f32
layout(constant_id = 1) const bool kExactKeys = true;
layout(constant_id = 2) const uint kLatent = 512;
layout(constant_id = 3) const uint kRope = 64;
layout(constant_id = 4) const uint kIndex = 0;
layout(constant_id = 5) const uint kWidth = 576;  // latent + rope, padded
layout(constant_id = 6) const uint kKeysAt = 0;   // in words, of a layer of a page
layout(constant_id = 7) const uint kScalesAt = 0;

const uint kPageTokens = 64;
const uint kRowWords = kExactRows ? kWidth : kWidth / 2;

// Rotates pair i: (2 i, 2 i + 1), or (i, i + kRope / 2) if half_split.
uvec2 rope_pair(uint i, bool half_split) {
  return half_split ? uvec2(i, i + kRope / 2) : uvec2(2 * i, 2 * i + 1);
}

// By the sum of two angles, of each of which `angles` holds cos, sin for every pair: those of
// positions 0, 1, ..., kAngles - 1, then those of 0, kAngles, 2 kAngles, ...
const uint kAngles = 1024;
vec2 turn(Floats angles, uint position, uint i, vec2 value) {
  const uint low = position % kAngles * kRope + 2 * i;
  const uint high = (kAngles + position / kAngles) * kRope + 2 * i;
  const float a = angles.v[low], b = angles.v[low + 1];
  const float c = angles.v[high], d = angles.v[high + 1];
  precise const float cosine = a * c - b * d, sine = b * c + a * d;
  return vec2(value.x * cosine - value.y * sine, value.x * sine + value.y * cosine);
}
