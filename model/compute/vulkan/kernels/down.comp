// x[i] += sum over u of down[chosen[i][u]] hidden[i][u], for every row i and its `used` experts.
//
// down [experts][dim][columns]; hidden [n][used][columns]; x [n][dim]. Threads as in multiply.comp;
// the experts of a row are added in the order of their choice.
// Grid: panels, n.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "weights.glsl"

layout(local_size_x = 16, local_size_y = 16) in;

layout(push_constant) uniform Push {
  Pointers down;
  Words codebook;
  Words chosen;  // [n][used]
  Vec4s hidden;
  Floats x;
  uint columns, dim, used;
  uint hidden_stride;  // in vec4s
  uint x_stride;
} p;

const uint kSlices = 16;
shared float sums[kSlices * kPanelRows];

void main() {
  const uint row = gl_LocalInvocationID.x, slice = gl_LocalInvocationID.y;
  const uint i = gl_WorkGroupID.y;
  const uint panel = gl_WorkGroupID.x * panel_words(p.columns);
  const uint fours = p.columns / 4;
  float sum = 0;
  for (uint u = 0; u < p.used; ++u) {
    const uint pair = i * p.used + u;
    Words w = p.down.v[p.chosen.v[pair]];
    for (uint block = slice; block * 8 < fours; block += kSlices) {
      const Block b = open_block(w, panel, block, row);
      for (uint four = 0; four < min(8, fours - 8 * block); ++four) {
        sum += dot(weights_at(w, p.codebook, b, four, row),
                   p.hidden.v[pair * p.hidden_stride + 8 * block + four]);
      }
    }
  }
  sums[slice * kPanelRows + row] = sum;
  barrier();
  const uint out_row = gl_WorkGroupID.x * kPanelRows + row;
  if (slice != 0 || out_row >= p.dim) return;
  float total = 0;
  for (uint s = 0; s < kSlices; ++s) total += sums[s * kPanelRows + row];
  p.x.v[i * p.x_stride + out_row] += total;
}
