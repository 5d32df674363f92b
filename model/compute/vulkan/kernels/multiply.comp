// y[t][r] = f[t] * sum over k of W[r][k] * norm[k] * x[t][k]       (or += with kAdd)
//   f[t] = 1 / sqrt(mean of x[t]^2 + eps) with kNormed; else f and norm are 1.
//
// W [matrices][rows][columns] in panels of 16 rows; x [n_rows][columns]; y [n_rows][rows]. Up to
// three W of one format, one after the other in the grid, have the same x and a y each.
// A workgroup makes one panel of kTile rows of x. Thread (r, s) sums row r over the blocks of 32
// columns s, s + 16, ...; the 16 sums of a row are added in order. Matrix z, which is one head
// of an attention, has an input and an output of its own: x + z * x_step, y + z * y_step.
// Grid: panels of all W, n_rows / kTile, matrices.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "weights.glsl"

layout(local_size_x = 16, local_size_y = 16) in;
layout(constant_id = 8) const uint kTile = 1;
layout(constant_id = 9) const bool kNormed = false;
layout(constant_id = 10) const bool kAdd = false;

layout(push_constant) uniform Push {
  Pointers weights[3];
  Floats y[3];
  Words codebook;
  Vec4s x;
  Vec4s norm;
  uint rows[3], y_stride[3];
  uint columns, n_rows;
  uint x_stride, x_step;  // in vec4s
  uint y_step;
  float eps;
} p;

const uint kSlices = 16;
shared float sums[kTile * kSlices * kPanelRows];  // [t][slice][row]
shared float squares[kTile * kSlices];            // [t][slice]

void main() {
  const uint row = gl_LocalInvocationID.x, slice = gl_LocalInvocationID.y;
  const uint first = gl_WorkGroupID.y * kTile;
  uint out_panel = gl_WorkGroupID.x, m = 0;  // of which W
  for (uint n; m < 2 && out_panel >= (n = (p.rows[m] + kPanelRows - 1) / kPanelRows); ++m) {
    out_panel -= n;
  }
  Words w = p.weights[m].v[gl_WorkGroupID.z];
  const uint panel = out_panel * panel_words(p.columns);
  const uint x = gl_WorkGroupID.z * p.x_step + first * p.x_stride;
  const uint last = min(kTile, p.n_rows - first) - 1;
  const uint fours = p.columns / 4;

  float sum[kTile], square[kTile];
  [[unroll]] for (uint t = 0; t < kTile; ++t) sum[t] = square[t] = 0;
  for (uint block = slice; block * 8 < fours; block += kSlices) {
    const Block b = open_block(w, panel, block, row);
    for (uint four = 0; four < min(8, fours - 8 * block); ++four) {
      const uint k = 8 * block + four;
      vec4 weight = weights_at(w, p.codebook, b, four, row);
      if (kNormed) weight *= p.norm.v[k];
      [[unroll]] for (uint t = 0; t < kTile; ++t) {
        const vec4 value = p.x.v[x + min(t, last) * p.x_stride + k];
        sum[t] += dot(weight, value);
        if (kNormed) square[t] += dot(value, value);
      }
    }
  }
  [[unroll]] for (uint t = 0; t < kTile; ++t) {
    sums[(t * kSlices + slice) * kPanelRows + row] = sum[t];
    if (kNormed && row == 0) squares[t * kSlices + slice] = square[t];
  }
  barrier();
  // Thread (row, t) adds up output t of its row.
  const uint t = slice, out_row = out_panel * kPanelRows + row;
  if (t > last || t >= kTile || out_row >= p.rows[m]) return;
  float total = 0, all_squares = 0;
  for (uint s = 0; s < kSlices; ++s) {
    total += sums[(t * kSlices + s) * kPanelRows + row];
    if (kNormed) all_squares += squares[t * kSlices + s];
  }
  if (kNormed) total *= inversesqrt(all_squares / float(p.columns) + p.eps);
  const uint y = gl_WorkGroupID.z * p.y_step + (first + t) * p.y_stride[m] + out_row;
  p.y[m].v[y] = kAdd ? p.y[m].v[y] + total : total;
}
