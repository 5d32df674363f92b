// hidden[p][j] = weight[p] * silu(gate x) * (up x), with x = norm(x[p / used]), for every pair p of
// a row and one of its experts chosen[p]. Without a choice: used = 1, expert 0, weight 1.
//
// gate, up [experts][width][columns] of one format; x [n][columns]; hidden [pairs][width].
// Threads as in multiply.comp. A workgroup has kTile pairs of one expert: neighbours where there is
// no choice, those of a tile (see group_pairs.comp) if kGrouped, or else a single pair.
// Grid: panels, tiles.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "weights.glsl"

layout(local_size_x = 16, local_size_y = 16) in;
layout(constant_id = 8) const uint kTile = 1;
layout(constant_id = 9) const bool kChosen = false;
layout(constant_id = 10) const bool kGrouped = false;

layout(push_constant) uniform Push {
  Pointers gate, up;
  Words codebook;
  Vec4s x;
  Vec4s norm;
  Words chosen;    // [pairs]
  Floats weights;  // [pairs]
  Words order, tiles;
  Floats hidden;
  uint columns, width, pairs, used;
  uint x_stride;  // in vec4s
  uint hidden_stride;
  float eps;
} p;

const uint kSlices = 16;
shared float gates[kTile * kSlices * kPanelRows];  // [t][slice][row]
shared float ups[kTile * kSlices * kPanelRows];
shared float squares[kTile * kSlices];

void main() {
  const uint row = gl_LocalInvocationID.x, slice = gl_LocalInvocationID.y;
  const uint tile = gl_WorkGroupID.y;
  uint first = tile * kTile, n = min(kTile, p.pairs - first), expert = 0;
  if (kGrouped) {
    expert = p.tiles.v[4 * tile];
    first = p.tiles.v[4 * tile + 1];
    n = p.tiles.v[4 * tile + 2];
    if (n == 0) return;
  } else if (kChosen) {
    expert = p.chosen.v[first];
  }
  uint pair[kTile];
  [[unroll]] for (uint t = 0; t < kTile; ++t) {
    pair[t] = first + min(t, n - 1);
    if (kGrouped) pair[t] = p.order.v[pair[t]];
  }
  Words gate = p.gate.v[expert], up = p.up.v[expert];
  const uint panel = gl_WorkGroupID.x * panel_words(p.columns);
  const uint fours = p.columns / 4;

  float g[kTile], u[kTile], square[kTile];
  [[unroll]] for (uint t = 0; t < kTile; ++t) g[t] = u[t] = square[t] = 0;
  for (uint block = slice; block * 8 < fours; block += kSlices) {
    const Block of_gate = open_block(gate, panel, block, row);
    const Block of_up = open_block(up, panel, block, row);
    for (uint four = 0; four < min(8, fours - 8 * block); ++four) {
      const uint k = 8 * block + four;
      const vec4 norm = p.norm.v[k];
      const vec4 gate_weight = norm * weights_at(gate, p.codebook, of_gate, four, row);
      const vec4 up_weight = norm * weights_at(up, p.codebook, of_up, four, row);
      [[unroll]] for (uint t = 0; t < kTile; ++t) {
        const vec4 value = p.x.v[pair[t] / p.used * p.x_stride + k];
        g[t] += dot(gate_weight, value);
        u[t] += dot(up_weight, value);
        square[t] += dot(value, value);
      }
    }
  }
  [[unroll]] for (uint t = 0; t < kTile; ++t) {
    gates[(t * kSlices + slice) * kPanelRows + row] = g[t];
    ups[(t * kSlices + slice) * kPanelRows + row] = u[t];
    if (row == 0) squares[t * kSlices + slice] = square[t];
  }
  barrier();
  const uint t = slice, j = gl_WorkGroupID.x * kPanelRows + row;
  if (t >= n || j >= p.width) return;
  float gate_sum = 0, up_sum = 0, all_squares = 0;
  for (uint s = 0; s < kSlices; ++s) {
    gate_sum += gates[(t * kSlices + s) * kPanelRows + row];
    up_sum += ups[(t * kSlices + s) * kPanelRows + row];
    all_squares += squares[t * kSlices + s];
  }
  const float factor = inversesqrt(all_squares / float(p.columns) + p.eps);
  gate_sum *= factor;
  up_sum *= factor;
  const uint out_pair = kGrouped ? p.order.v[first + t] : first + t;
  const float weight = kChosen ? p.weights.v[out_pair] : 1;
  p.hidden.v[out_pair * p.hidden_stride + j] =
      weight * (gate_sum / (1 + exp(-gate_sum))) * up_sum;
}
