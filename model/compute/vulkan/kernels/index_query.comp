// The indexer's queries of every row, rotated; in fast precision turned by the Hadamard matrix and
// rounded to 8 bits, their scale going into the head's weight.
//   query [n][heads][kIndex], weights [n][heads] -> turned [n][heads][kIndex] f32 or i8, factors.
// Grid: heads, n.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "cache.glsl"
#include "group.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 7) const bool kHalfSplit = true;

layout(push_constant) uniform Push {
  Rows rows;
  Floats angles;
  Floats query, weights;
  Words turned;
  Floats factors;  // [n][heads]
  uint heads, query_stride, weights_stride;
  float weight_scale;
} p;

const uint kMost = 1024;
shared float values[kMost];
#include "hadamard.glsl"

void main() {
  const uint thread = gl_LocalInvocationID.x, head = gl_WorkGroupID.x, row = gl_WorkGroupID.y;
  const uint from = row * p.query_stride + head * kIndex, out_head = row * p.heads + head;
  for (uint i = thread; i < kIndex; i += kThreads) values[i] = p.query.v[from + i];
  barrier();
  for (uint i = thread; i < kRope / 2; i += kThreads) {
    const uvec2 pair = rope_pair(i, kHalfSplit);
    const vec2 value = vec2(values[pair.x], values[pair.y]);
    const vec2 turned = turn(p.angles, p.rows.v[row].angles, i, value);
    values[pair.x] = turned.x;
    values[pair.y] = turned.y;
  }
  barrier();
  float factor = p.weights.v[row * p.weights_stride + head] * p.weight_scale;
  if (kExact) {
    for (uint i = thread; i < kIndex; i += kThreads) {
      p.turned.v[out_head * kIndex + i] = floatBitsToUint(values[i]);
    }
  } else {
    hadamard(kIndex);
    float largest = 0;
    for (uint i = thread; i < kIndex; i += kThreads) largest = max(largest, abs(values[i]));
    largest = group_max(largest);
    const float inverse = largest > 0 ? 127 / largest : 0;
    for (uint i = thread; i < kIndex / 4; i += kThreads) {
      const vec4 four =
          vec4(values[4 * i], values[4 * i + 1], values[4 * i + 2], values[4 * i + 3]);
      const uvec4 codes = uvec4(ivec4(roundEven(four * inverse))) & 255;
      p.turned.v[out_head * (kIndex / 4) + i] =
          codes.x | codes.y << 8 | codes.z << 16 | codes.w << 24;
    }
    factor *= largest / 127;
  }
  if (thread == 0) p.factors.v[out_head] = factor;
}
