// x[i] += sum over u of y[i][u], in the order of the choice. y [n][used][dim]; x [n][dim].
// Grid: dim / 64, n.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(local_size_x = 64) in;

layout(push_constant) uniform Push {
  Floats y;
  Floats x;
  uint dim, used, y_stride, x_stride;
} p;

void main() {
  const uint column = gl_GlobalInvocationID.x, i = gl_WorkGroupID.y;
  if (column >= p.dim) return;
  float total = 0;
  for (uint u = 0; u < p.used; ++u) total += p.y.v[(i * p.used + u) * p.y_stride + column];
  p.x.v[i * p.x_stride + column] += total;
}
