// What all kernels share: pointers into device memory, and the rows of the batch.
// Everything is read as 32-bit words, so that no storage of 8 or 16 bits is asked of a device.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : require

layout(buffer_reference, std430, buffer_reference_align = 4) buffer Words { uint v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats { float v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Vec4s { vec4 v[]; };
// Addresses: of the matrices of a tensor (heads, experts), or of the KV pages of the batch.
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Pointers { Words v[]; };

struct Row {
  uint position;
  uint first_page;  // its timeline's first entry among the batch's pages
  uint token;
  uint unused;
};
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Rows { Row v[]; };

// Rows of activations start at multiples of 16 values: padded() of sizes.h.
uint padded(uint width) {
  return (width + 15) / 16 * 16;
}
