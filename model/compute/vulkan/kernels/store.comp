// What every row leaves in the cache of a layer:
//   latent: RMSNorm(latent) beside rope(its rotated key), in f32 or f16;
//   key:    rope(LayerNorm(key)), in f32, or turned by a Hadamard matrix and rounded to 8 bits.
// latent [n][kLatent + kRope]; key [n][kIndex]. Grid: n.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "cache.glsl"
#include "group.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 7) const bool kHalfSplit = true;  // pairs of the index key

layout(push_constant) uniform Push {
  Rows rows;
  Pointers pages;
  Floats angles;
  Floats latent, latent_weight;
  Floats key, key_weight, key_bias;
  uint latent_stride, key_stride;
  uint layer_at;  // in words, of a page
  float eps, key_eps;
} p;

const uint kMost = 1024;  // values of a latent or key
const float kMaxHalf = 65504;
shared float values[kMost];
#include "hadamard.glsl"

void normalize_latent(uint row) {
  const uint thread = gl_LocalInvocationID.x, at = row * p.latent_stride;
  float squares = 0;
  for (uint i = thread; i < kLatent; i += kThreads) {
    const float value = p.latent.v[at + i];
    squares += value * value;
  }
  const float factor = inversesqrt(group_sum(squares) / float(kLatent) + p.eps);
  for (uint i = thread; i < kLatent; i += kThreads) {
    values[i] = p.latent.v[at + i] * factor * p.latent_weight.v[i];
  }
}

void write_latent(Words page, uint slot) {
  const uint n = kExact ? kLatent + kRope : (kLatent + kRope) / 2;
  for (uint i = gl_LocalInvocationID.x; i < n; i += kThreads) {
    const uint at = p.layer_at + slot * kRowWords + i;
    if (kExact) {
      page.v[at] = floatBitsToUint(values[i]);
    } else {
      const vec2 pair = vec2(values[2 * i], values[2 * i + 1]);
      page.v[at] = packHalf2x16(clamp(pair, -kMaxHalf, kMaxHalf));
    }
  }
}

void normalize_key(uint row) {
  const uint thread = gl_LocalInvocationID.x, at = row * p.key_stride;
  float sum = 0, squares = 0;
  for (uint i = thread; i < kIndex; i += kThreads) sum += p.key.v[at + i];
  const float mean = group_sum(sum) / float(kIndex);
  for (uint i = thread; i < kIndex; i += kThreads) {
    const float distance = p.key.v[at + i] - mean;
    squares += distance * distance;
  }
  const float factor = inversesqrt(group_sum(squares) / float(kIndex) + p.key_eps);
  for (uint i = thread; i < kIndex; i += kThreads) {
    values[i] = (p.key.v[at + i] - mean) * factor * p.key_weight.v[i] + p.key_bias.v[i];
  }
}

void turn_key(uint angles) {
  for (uint i = gl_LocalInvocationID.x; i < kRope / 2; i += kThreads) {
    const uvec2 pair = rope_pair(i, kHalfSplit);
    const vec2 turned = turn(p.angles, angles, i, vec2(values[pair.x], values[pair.y]));
    values[pair.x] = turned.x;
    values[pair.y] = turned.y;
  }
}

void write_key(Words page, uint slot) {
  const uint thread = gl_LocalInvocationID.x, at = p.layer_at + kKeysAt + slot;
  if (kExact) {
    for (uint i = thread; i < kIndex; i += kThreads) {
      page.v[at + i * kPageTokens] = floatBitsToUint(values[i]);
    }
    return;
  }
  float largest = 0;
  for (uint i = thread; i < kIndex; i += kThreads) largest = max(largest, abs(values[i]));
  largest = group_max(largest);
  const float inverse = largest > 0 ? 127 / largest : 0;
  for (uint i = thread; i < kIndex / 4; i += kThreads) {
    const vec4 four = vec4(values[4 * i], values[4 * i + 1], values[4 * i + 2], values[4 * i + 3]);
    const uvec4 codes = uvec4(ivec4(roundEven(four * inverse)) + 128);
    page.v[at + i * kPageTokens] = codes.x | codes.y << 8 | codes.z << 16 | codes.w << 24;
  }
  if (thread == 0) page.v[p.layer_at + kScalesAt + slot] = floatBitsToUint(largest / 127);
}

void main() {
  const uint row = gl_WorkGroupID.x;
  const Row r = p.rows.v[row];
  Words page = p.pages.v[r.first_page + r.position / kPageTokens];
  const uint slot = r.position % kPageTokens;
  normalize_latent(row);
  for (uint i = gl_LocalInvocationID.x; i < kRope / 2; i += kThreads) {
    const uvec2 pair = kLatent + rope_pair(i, false);
    const uint at = row * p.latent_stride;
    const vec2 key = vec2(p.latent.v[at + pair.x], p.latent.v[at + pair.y]);
    const vec2 turned = turn(p.angles, r.angles, i, key);
    values[pair.x] = turned.x;
    values[pair.y] = turned.y;
  }
  barrier();
  write_latent(page, slot);
  if (kIndex == 0) return;
  barrier();
  normalize_key(row);
  barrier();
  turn_key(r.angles);
  barrier();
  if (!kExact) hadamard(kIndex);
  write_key(page, slot);
}
