// Weights in panels of 16 rows, as model/compute/cpu/panels.h lays them out, and their values.
// A pipeline is specialised for one format; what another would need is gone from its code.

layout(constant_id = 0) const uint kPlain = 0;   // 1: f32, 2: f16, 3: bf16; 0: codes and scales
layout(constant_id = 1) const uint kBits = 8;    // of a code
layout(constant_id = 2) const uint kScales = 0;  // enum class Scales
layout(constant_id = 3) const uint kGroup = 32;  // columns that share a scale
layout(constant_id = 4) const uint kZero = 128;  // of the codes
layout(constant_id = 5) const uint kTable = 0;   // 1: nonlinear levels, 2: E2M1
layout(constant_id = 6) const uint kHeadWords = 0;
layout(constant_id = 7) const uint kBlockWords = 0;

const uint kPanelRows = 16;
const uint kBlock = 32;
const uint kChunkBlocks = 8;
const uint kScaleHalf = 0, kScaleHalfAndMinimum = 1, kScaleExponent = 2, kScaleInteger = 3,
           kScaleWithMinimum = 4, kScaleNibbles = 5, kScaleCodebook = 6;

// Levels + 128, four to a word: kLevels of model/files/quant_blocks.h.
const uvec4 kNonlinear = uvec4(0x3F2D1801, 0x766A5D4F, 0xA6998D81, 0xF1D9C5B5);
const uvec4 kE2m1 = uvec4(0x83828180, 0x8C888684, 0x7D7E7F80, 0x74787A7C);

float half_at(Words w, uint base, uint i) {
  const vec2 pair = unpackHalf2x16(w.v[base + (i >> 1)]);
  return (i & 1) == 0 ? pair.x : pair.y;
}

uint byte_at(Words w, uint base, uint i) {
  return w.v[base + (i >> 2)] >> (8 * (i & 3)) & 255;
}

// The block of 32 columns that a thread is at, of one row.
struct Block {
  uint at;          // its first word; plain types: of the row's first value in it
  vec2 scales;      // of its two halves
  vec2 minimums;
};

// Words of one panel.
uint panel_words(uint columns) {
  if (kPlain == 1) return columns * kPanelRows;
  if (kPlain != 0) return columns * kPanelRows / 2;
  const uint blocks = columns / kBlock, chunks = (blocks + kChunkBlocks - 1) / kChunkBlocks;
  return chunks * kHeadWords + blocks * kBlockWords;
}

// scale, minimum of group i (of 256 / kGroup) of a chunk.
vec2 scale_at(Words w, uint head, uint block, uint i, uint row) {
  const uint groups = 256 / kGroup, at = i * kPanelRows + row;
  float scale = 0, minimum = 0;
  if (kScales == kScaleHalf) {
    scale = half_at(w, head, at);
  } else if (kScales == kScaleHalfAndMinimum) {
    scale = half_at(w, head, at);
    minimum = half_at(w, head, groups * kPanelRows + at);
  } else if (kScales == kScaleExponent) {  // 2^(e - 128)
    const uint e = byte_at(w, head, at);
    scale = uintBitsToFloat(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  } else if (kScales == kScaleInteger) {
    scale = half_at(w, head, row) * float(int(byte_at(w, head + 8, at) << 24) >> 24);
  } else if (kScales == kScaleWithMinimum) {
    scale = half_at(w, head, row) * float(byte_at(w, head + 16, at));
    minimum = half_at(w, head, kPanelRows + row) *
              float(byte_at(w, head + 16, groups * kPanelRows + at));
  } else if (kScales == kScaleNibbles) {
    const uint both = byte_at(w, head + 16, at);
    scale = half_at(w, head, row) * float(both & 15);
    minimum = half_at(w, head, kPanelRows + row) * float(both >> 4);
  } else {
    scale = half_at(w, head, row) * float(2 * (w.v[block + 16 + row] >> 28) + 1) / 8;
  }
  const bool stored = kScales == kScaleHalfAndMinimum || kScales == kScaleWithMinimum ||
                      kScales == kScaleNibbles;
  if (kZero != 128 && !stored) minimum = scale * float(kZero);
  return vec2(scale, minimum);
}

Block open_block(Words w, uint panel, uint block, uint row) {
  Block b;
  if (kPlain != 0) {
    b.at = panel + block * kBlock * kPanelRows / (kPlain == 1 ? 1 : 2);
    return b;
  }
  const uint chunk = block / kChunkBlocks, i = block % kChunkBlocks;
  const uint head = panel + chunk * (kHeadWords + kChunkBlocks * kBlockWords);
  b.at = head + kHeadWords + i * kBlockWords;
  if (kGroup == 32) {
    const vec2 s = scale_at(w, head, b.at, i, row);
    b.scales = s.xx;
    b.minimums = s.yy;
  } else {
    const vec2 low = scale_at(w, head, b.at, 2 * i, row);
    const vec2 high = scale_at(w, head, b.at, 2 * i + 1, row);
    b.scales = vec2(low.x, high.x);
    b.minimums = vec2(low.y, high.y);
  }
  return b;
}

vec4 bytes_of(uint word) {
  return vec4(word & 255, word >> 8 & 255, word >> 16 & 255, word >> 24);
}

// Four codes, one per byte: columns 4 * four to 4 * four + 3 of the block.
uint codes_of(Words w, uint at, uint four, uint row) {
  if (kBits == 8) return w.v[at + four * kPanelRows + row];
  uint codes = 0, shift = 0;
  if (kBits >= 4) {
    codes = w.v[at + four % 4 * kPanelRows + row] >> (four / 4 * 4) & 0x0F0F0F0F;
    shift = 4;
    at += 4 * kPanelRows;
  }
  if (kBits % 4 >= 2) {
    codes |= (w.v[at + four / 4 * kPanelRows + row] >> (four % 4 * 2) & 0x03030303) << shift;
    shift += 2;
    at += 2 * kPanelRows;
  }
  if (kBits % 2 == 1) codes |= (w.v[at + row] >> four & 0x01010101) << shift;
  return codes;
}

// Each code's level + 128, in place.
uint levels_of(uint codes) {
  uint levels = 0;
  [[unroll]] for (uint i = 0; i < 4; ++i) {
    const uint code = codes >> (8 * i) & 15;
    uint four;
    if (kTable == 1) {
      four = kNonlinear[code >> 2];
    } else {
      four = kE2m1[code >> 2];
    }
    levels |= (four >> (8 * (code & 3)) & 255) << (8 * i);
  }
  return levels;
}

// Of IQ2_XXS: a line of the codebook, with signs of which the last makes their number even.
vec4 codebook_values(Words w, Words codebook, uint at, uint four, uint row) {
  const uint line = byte_at(w, at, four / 2 * kPanelRows + row);
  const vec4 values = bytes_of(codebook.v[2 * line + (four & 1)]);
  const uint seven = w.v[at + 16 + row] >> (7 * (four / 2)) & 127;
  const uint signs = (seven | (bitCount(seven) & 1) << 7) >> (4 * (four & 1));
  return mix(values, -values, notEqual(signs & uvec4(1, 2, 4, 8), uvec4(0)));
}

// W[row][columns 4 * four to 4 * four + 3 of the block].
vec4 weights_at(Words w, Words codebook, Block b, uint four, uint row) {
  const uint i = 4 * four * kPanelRows + row;
  if (kPlain == 1) {
    return vec4(uintBitsToFloat(w.v[b.at + i]), uintBitsToFloat(w.v[b.at + i + 16]),
                uintBitsToFloat(w.v[b.at + i + 32]), uintBitsToFloat(w.v[b.at + i + 48]));
  }
  if (kPlain == 2) {
    return vec4(half_at(w, b.at, i), half_at(w, b.at, i + 16), half_at(w, b.at, i + 32),
                half_at(w, b.at, i + 48));
  }
  if (kPlain == 3) {
    const uint high = 16 * (i & 1), at = b.at + (i >> 1);
    const uvec4 words = uvec4(w.v[at], w.v[at + 8], w.v[at + 16], w.v[at + 24]);
    return uintBitsToFloat((words >> high) << 16);
  }
  const float scale = four < 4 ? b.scales.x : b.scales.y;
  if (kScales == kScaleCodebook) return scale * codebook_values(w, codebook, b.at, four, row);
  uint codes = codes_of(w, b.at, four, row);
  if (kTable != 0) codes = levels_of(codes);
  if (kZero == 128) return scale * (bytes_of(codes) - 128);
  return scale * bytes_of(codes) - (four < 4 ? b.minimums.x : b.minimums.y);
}
