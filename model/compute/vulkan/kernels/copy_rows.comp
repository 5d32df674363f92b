// to[i] = from[rows[i]], rows ascending, so that a row may move to its own place or an earlier one
// of the same tensor only after it was read: every workgroup moves one stripe of columns, row by
// row. from, to [.][width]. Grid: width / 64.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(local_size_x = 64) in;

layout(push_constant) uniform Push {
  Floats x;
  Words rows;
  uint n, width, stride;
} p;

void main() {
  const uint column = gl_GlobalInvocationID.x;
  if (column >= p.width) return;
  for (uint i = 0; i < p.n; ++i) {
    p.x.v[i * p.stride + column] = p.x.v[p.rows.v[i] * p.stride + column];
  }
}
