// y[p] = down[expert of p] hidden[p], for the pairs of a large batch in tiles of one expert each
// (see group_pairs.comp). down [experts][dim][columns]; hidden [pairs][columns]; y [pairs][dim].
// Threads as in multiply.comp. Grid: panels, tiles.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "weights.glsl"

layout(local_size_x = 16, local_size_y = 16) in;
layout(constant_id = 16) const uint kTile = 8;

layout(push_constant) uniform Push {
  Pointers down;
  Words codebook;
  Words order, tiles;
  Vec4s hidden;
  Floats y;
  uint columns, dim;
  uint hidden_stride;  // in vec4s
  uint y_stride;
} p;

const uint kSlices = 16;
shared float sums[kTile * kSlices * kPanelRows];  // [t][slice][row]

void main() {
  const uint row = gl_LocalInvocationID.x, slice = gl_LocalInvocationID.y;
  const uint tile = 4 * gl_WorkGroupID.y;
  const uint first = p.tiles.v[tile + 1], n = p.tiles.v[tile + 2];
  if (n == 0) return;
  Words w = p.down.v[p.tiles.v[tile]];
  const uint panel = gl_WorkGroupID.x * panel_words(kFormat, p.columns);
  const uint fours = p.columns / 4;
  uint hidden[kTile];
  float sum[kTile];
  [[unroll]] for (uint t = 0; t < kTile; ++t) {
    hidden[t] = p.order.v[first + min(t, n - 1)] * p.hidden_stride;
    sum[t] = 0;
  }
  for (uint block = slice; block * 8 < fours; block += kSlices) {
    const Block b = open_block(kFormat, w, panel, block, row);
    for (uint four = 0; four < min(8, fours - 8 * block); ++four) {
      const vec4 weight = weights_at(kFormat, w, p.codebook, b, four, row);
      [[unroll]] for (uint t = 0; t < kTile; ++t) {
        sum[t] += dot(weight, p.hidden.v[hidden[t] + 8 * block + four]);
      }
    }
  }
  [[unroll]] for (uint t = 0; t < kTile; ++t) {
    sums[(t * kSlices + slice) * kPanelRows + row] = sum[t];
  }
  barrier();
  const uint t = slice, out_row = gl_WorkGroupID.x * kPanelRows + row;
  if (t >= n || out_row >= p.dim) return;
  float total = 0;
  for (uint s = 0; s < kSlices; ++s) total += sums[(t * kSlices + s) * kPanelRows + row];
  p.y.v[p.order.v[first + t] * p.y_stride + out_row] = total;
}
