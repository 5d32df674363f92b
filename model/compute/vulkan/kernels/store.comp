// What every row leaves in the cache of a layer, with kStores:
//   latent: RMSNorm(latent) beside rope(its rotated key), in f32 or f16;
//   key:    rope(LayerNorm(key)), in f32, or turned by a Hadamard matrix and rounded to 8 bits.
// And what the indexer asks for every row and each of its heads:
//   turned: rope(query), in f32, or turned and rounded as keys are; the scale goes into the factor;
//   factor: weight * weight_scale.
// latent [n][kLatent + kRope]; key [n][kIndex]; query, turned [n][heads][kIndex]; weights, factors
// [n][heads].
// Grid: kStores + heads, n.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "cache.glsl"
#include "group.glsl"

layout(constant_id = 8) const bool kHalfSplit = true;  // pairs of the index key
layout(constant_id = 9) const bool kStores = true;
layout(constant_id = 10) const bool kQueryHalfSplit = true;

layout(push_constant) uniform Push {
  Rows rows;
  Pointers pages;
  Floats angles;
  Floats latent, latent_weight;
  Floats key, key_weight, key_bias;
  Floats query, weights;
  Words turned;
  Floats factors;  // [n][heads]
  uint layer_at;   // in words, of a page
  uint heads;
  float eps, key_eps, weight_scale;
} p;

const uint kMost = 1024;  // values of a latent or key
const float kMaxHalf = 65504;
shared float values[kMost];
#include "hadamard.glsl"

void normalize_latent(uint row) {
  const uint thread = thread_number(), at = row * padded(kLatent + kRope);
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
  const uint n = kExactRows ? kLatent + kRope : (kLatent + kRope) / 2;
  for (uint i = thread_number(); i < n; i += kThreads) {
    const uint at = p.layer_at + slot * kRowWords + i;
    if (kExactRows) {
      page.v[at] = floatBitsToUint(values[i]);
    } else {
      const vec2 pair = vec2(values[2 * i], values[2 * i + 1]);
      page.v[at] = packHalf2x16(clamp(pair, -kMaxHalf, kMaxHalf));
    }
  }
}

void normalize_key(uint row) {
  const uint thread = thread_number(), at = row * padded(kIndex);
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

void turn_values(Floats angles, uint position, bool half_split) {
  for (uint i = thread_number(); i < kRope / 2; i += kThreads) {
    const uvec2 pair = rope_pair(i, half_split);
    const vec2 turned = turn(angles, position, i, vec2(values[pair.x], values[pair.y]));
    values[pair.x] = turned.x;
    values[pair.y] = turned.y;
  }
}

float largest_value() {
  float largest = 0;
  for (uint i = thread_number(); i < kIndex; i += kThreads) {
    largest = max(largest, abs(values[i]));
  }
  return group_max(largest);
}

// Values 4 i to 4 i + 3 as signed bytes of 1 / inverse.
ivec4 rounded(uint i, float inverse) {
  const vec4 four = vec4(values[4 * i], values[4 * i + 1], values[4 * i + 2], values[4 * i + 3]);
  return ivec4(roundEven(four * inverse));
}

uint packed(uvec4 bytes) {
  return bytes.x | bytes.y << 8 | bytes.z << 16 | bytes.w << 24;
}

void write_key(Words page, uint slot) {
  const uint thread = thread_number(), at = p.layer_at + kKeysAt + slot;
  if (kExactKeys) {
    for (uint i = thread; i < kIndex; i += kThreads) {
      page.v[at + i * kPageTokens] = floatBitsToUint(values[i]);
    }
    return;
  }
  const float largest = largest_value();
  const float inverse = largest > 0 ? 127 / largest : 0;
  for (uint i = thread; i < kIndex / 4; i += kThreads) {
    page.v[at + i * kPageTokens] = packed(uvec4(rounded(i, inverse) + 128));
  }
  if (thread == 0) page.v[p.layer_at + kScalesAt + slot] = floatBitsToUint(largest / 127);
}

void store_row(uint row, Row r) {
  Words page = p.pages.v[r.first_page + r.position / kPageTokens];
  const uint slot = r.position % kPageTokens;
  normalize_latent(row);
  for (uint i = thread_number(); i < kRope / 2; i += kThreads) {
    const uvec2 pair = kLatent + rope_pair(i, false);
    const uint at = row * padded(kLatent + kRope);
    const vec2 key = vec2(p.latent.v[at + pair.x], p.latent.v[at + pair.y]);
    const vec2 turned = turn(p.angles, r.position, i, key);
    values[pair.x] = turned.x;
    values[pair.y] = turned.y;
  }
  barrier();
  write_latent(page, slot);
  if (kIndex == 0) return;
  barrier();
  normalize_key(row);
  barrier();
  turn_values(p.angles, r.position, kHalfSplit);
  barrier();
  if (!kExactKeys) hadamard(kIndex);
  write_key(page, slot);
}

void prepare_query(uint row, Row r, uint head) {
  const uint thread = thread_number(), out_head = row * p.heads + head;
  const uint from = row * padded(p.heads * kIndex) + head * kIndex;
  for (uint i = thread; i < kIndex; i += kThreads) values[i] = p.query.v[from + i];
  barrier();
  turn_values(p.angles, r.position, kQueryHalfSplit);
  barrier();
  float factor = p.weights.v[row * padded(p.heads) + head] * p.weight_scale;
  if (kExactKeys) {
    for (uint i = thread; i < kIndex; i += kThreads) {
      p.turned.v[out_head * kIndex + i] = floatBitsToUint(values[i]);
    }
  } else {
    hadamard(kIndex);
    const float largest = largest_value();
    const float inverse = largest > 0 ? 127 / largest : 0;
    for (uint i = thread; i < kIndex / 4; i += kThreads) {
      p.turned.v[out_head * (kIndex / 4) + i] = packed(uvec4(rounded(i, inverse)) & 255);
    }
    factor *= largest / 127;
  }
  if (thread == 0) p.factors.v[out_head] = factor;
}

void main() {
  const uint row = gl_WorkGroupID.y, part = gl_WorkGroupID.x;
  if (kStores && part == 0) {
    store_row(row, p.rows.v[row]);
  } else {
    prepare_query(row, p.rows.v[row], part - uint(kStores));
  }
}
