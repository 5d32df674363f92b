// x[i] = row `token of i` of the table [vocab][columns], for every row i of the batch.
// Grid: columns / 4 / 64, n_rows.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "weights.glsl"

layout(local_size_x = 64) in;

layout(push_constant) uniform Push {
  Pointers table;
  Words codebook;
  Rows rows;
  Vec4s x;
  uint columns;
  uint x_stride;  // in vec4s
} p;

void main() {
  const uint k = gl_GlobalInvocationID.x, i = gl_WorkGroupID.y;
  if (4 * k >= p.columns) return;
  const uint token = p.rows.v[i].token, row = token % kPanelRows;
  Words w = p.table.v[0];
  const uint panel = token / kPanelRows * panel_words(kFormat, p.columns);
  const Block b = open_block(kFormat, w, panel, k / 8, row);
  p.x.v[i * p.x_stride + k] = weights_at(kFormat, w, p.codebook, b, k % 8, row);
}
