// The attended latent of every head from the softmax states of its parts, in their order:
//   out[h] = sum over parts of e * weighted / sum over parts of e * sum, e = exp(largest - maximum)
// states [n][parts][heads][4 + latent]; out [n][heads][latent], rows padded.
// Grid: heads, n.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(local_size_x = 64) in;

layout(push_constant) uniform Push {
  Vec4s states;
  Vec4s merged;
  uint heads, parts;
  uint quads;  // of a latent
} p;

void main() {
  const uint h = gl_WorkGroupID.x, i = gl_WorkGroupID.y, size = 1 + p.quads;
  const uint first = (i * p.parts * p.heads + h) * size, step = p.heads * size;
  float largest = p.states.v[first].x;
  for (uint part = 1; part < p.parts; ++part) {
    largest = max(largest, p.states.v[first + part * step].x);
  }
  for (uint quad = gl_LocalInvocationID.x; quad < p.quads; quad += 64) {
    vec4 weighted = vec4(0);
    float sum = 0;
    for (uint part = 0; part < p.parts; ++part) {
      const vec4 state = p.states.v[first + part * step];
      const float factor = exp(state.x - largest);  // 0 for a part without tokens
      weighted += factor * p.states.v[first + part * step + 1 + quad];
      sum += factor * state.y;
    }
    p.merged.v[i * padded(4 * p.heads * p.quads) / 4 + h * p.quads + quad] = weighted / sum;
  }
}
