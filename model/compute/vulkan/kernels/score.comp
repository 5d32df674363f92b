// scores[i][s] = sum over heads of factor[i][head] * relu(query[i][head] . key[s]), for every row i
// that has more than top_k tokens and each of its tokens s.
//
// A workgroup scores one page for one row; thread s has key s. Heads go by in groups of eight, so
// that a key is read once for all of them. Codes of 8 bits are multiplied exactly, with the integer
// dot product where the device has it. Grid: pages, n.
// Source: DeepSeek-V3.2 report, section 2.1 (lightning indexer).
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "cache.glsl"

layout(local_size_x = 64) in;

layout(push_constant) uniform Push {
  Rows rows;
  Pointers pages;
  Words query;     // [n][heads][kIndex]
  Floats factors;  // [n][heads]
  Floats scores;   // [n][scores_stride]
  uint layer_at, heads, top_k, scores_stride;
} p;

const uint kHeads = 8;

#ifdef CORVID_INTEGER_DOT
#extension GL_EXT_spirv_intrinsics : require
// OpSDot of SPV_KHR_integer_dot_product, which GLSL has no name for; format 0: four bytes a word.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019],
                  id = 4450)
int op_s_dot(uint a, uint b, spirv_literal int format);

int dot_of_bytes(uint a, uint b) {
  return op_s_dot(a, b, 0);
}
#else
ivec4 signed_bytes(uint word) {
  return ivec4(int(word << 24) >> 24, int(word << 16) >> 24, int(word << 8) >> 24,
               int(word) >> 24);
}

int dot_of_bytes(uint a, uint b) {
  const ivec4 product = signed_bytes(a) * signed_bytes(b);
  return product.x + product.y + product.z + product.w;
}
#endif

void main() {
  const uint slot = gl_LocalInvocationID.x, page_index = gl_WorkGroupID.x, i = gl_WorkGroupID.y;
  const Row r = p.rows.v[i];
  const uint position = page_index * kPageTokens + slot;
  if (r.position < p.top_k || position > r.position) return;
  Words page = p.pages.v[r.first_page + page_index];
  const uint keys = p.layer_at + kKeysAt + slot, words = kExactKeys ? kIndex : kIndex / 4;
  float score = 0;
  for (uint first = 0; first < p.heads; first += kHeads) {
    const uint n = min(kHeads, p.heads - first), query = (i * p.heads + first) * words;
    float dots[kHeads];
    int codes[kHeads];
    [[unroll]] for (uint h = 0; h < kHeads; ++h) dots[h] = codes[h] = 0;
    for (uint j = 0; j < words; ++j) {
      const uint key = page.v[keys + j * kPageTokens];
      [[unroll]] for (uint h = 0; h < kHeads; ++h) {
        const uint q = p.query.v[query + min(h, n - 1) * words + j];
        if (kExactKeys) {
          dots[h] += uintBitsToFloat(q) * uintBitsToFloat(key);
        } else {
          codes[h] += dot_of_bytes(q, key ^ 0x80808080);
        }
      }
    }
    [[unroll]] for (uint h = 0; h < kHeads; ++h) {
      if (h >= n) continue;
      const float dot_product = kExactKeys ? dots[h] : float(codes[h]);
      score += p.factors.v[i * p.heads + first + h] * max(dot_product, 0);
    }
  }
  if (!kExactKeys) score *= uintBitsToFloat(page.v[p.layer_at + kScalesAt + slot]);
  p.scores.v[i * p.scores_stride + position] = score;
}
