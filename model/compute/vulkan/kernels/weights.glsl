// Weights in panels of 16 rows, as model/compute/cpu/panels.h lays them out, and their values.
// A pipeline is specialised for one format or two; what others would need is gone from its code.

struct Format {
  uint plain;    // 1: f32, 2: f16, 3: bf16; 0: codes and scales
  uint bits;     // of a code
  uint scales;   // enum class Scales
  uint group;    // columns that share a scale
  uint zero;     // of the codes
  uint table;    // 1: nonlinear levels, 2: E2M1
  uint head_words, block_words;
};

layout(constant_id = 0) const uint kPlain = 0;
layout(constant_id = 1) const uint kBits = 8;
layout(constant_id = 2) const uint kScales = 0;
layout(constant_id = 3) const uint kGroup = 32;
layout(constant_id = 4) const uint kZero = 128;
layout(constant_id = 5) const uint kTable = 0;
layout(constant_id = 6) const uint kHeadWords = 0;
layout(constant_id = 7) const uint kBlockWords = 0;
#define kFormat \
  Format(kPlain, kBits, kScales, kGroup, kZero, kTable, kHeadWords, kBlockWords)

// The second format of a kernel that reads weights of two.
layout(constant_id = 8) const uint kOtherPlain = 4;  // 4: there is none
layout(constant_id = 9) const uint kOtherBits = 8;
layout(constant_id = 10) const uint kOtherScales = 0;
layout(constant_id = 11) const uint kOtherGroup = 32;
layout(constant_id = 12) const uint kOtherZero = 128;
layout(constant_id = 13) const uint kOtherTable = 0;
layout(constant_id = 14) const uint kOtherHeadWords = 0;
layout(constant_id = 15) const uint kOtherBlockWords = 0;
#define kOther                                                                      \
  Format(kOtherPlain, kOtherBits, kOtherScales, kOtherGroup, kOtherZero, kOtherTable, \
         kOtherHeadWords, kOtherBlockWords)
const bool kMixed = kOtherPlain != 4;

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
uint panel_words(const Format f, uint columns) {
  if (f.plain == 1) return columns * kPanelRows;
  if (f.plain != 0) return columns * kPanelRows / 2;
  const uint blocks = columns / kBlock, chunks = (blocks + kChunkBlocks - 1) / kChunkBlocks;
  return chunks * f.head_words + blocks * f.block_words;
}

// scale, minimum of group i (of 256 / f.group) of a chunk.
vec2 scale_at(const Format f, Words w, uint head, uint block, uint i, uint row) {
  const uint groups = 256 / f.group, at = i * kPanelRows + row;
  float scale = 0, minimum = 0;
  if (f.scales == kScaleHalf) {
    scale = half_at(w, head, at);
  } else if (f.scales == kScaleHalfAndMinimum) {
    scale = half_at(w, head, at);
    minimum = half_at(w, head, groups * kPanelRows + at);
  } else if (f.scales == kScaleExponent) {  // 2^(e - 128)
    const uint e = byte_at(w, head, at);
    scale = uintBitsToFloat(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  } else if (f.scales == kScaleInteger) {
    scale = half_at(w, head, row) * float(int(byte_at(w, head + 8, at) << 24) >> 24);
  } else if (f.scales == kScaleWithMinimum) {
    scale = half_at(w, head, row) * float(byte_at(w, head + 16, at));
    minimum = half_at(w, head, kPanelRows + row) *
              float(byte_at(w, head + 16, groups * kPanelRows + at));
  } else if (f.scales == kScaleNibbles) {
    const uint both = byte_at(w, head + 16, at);
    scale = half_at(w, head, row) * float(both & 15);
    minimum = half_at(w, head, kPanelRows + row) * float(both >> 4);
  } else {
    scale = half_at(w, head, row) * float(2 * (w.v[block + 16 + row] >> 28) + 1) / 8;
  }
  const bool stored = f.scales == kScaleHalfAndMinimum || f.scales == kScaleWithMinimum ||
                      f.scales == kScaleNibbles;
  if (f.zero != 128 && !stored) minimum = scale * float(f.zero);
  return vec2(scale, minimum);
}

Block open_block(const Format f, Words w, uint panel, uint block, uint row) {
  Block b;
  if (f.plain != 0) {
    b.at = panel + block * kBlock * kPanelRows / (f.plain == 1 ? 1 : 2);
    return b;
  }
  const uint chunk = block / kChunkBlocks, i = block % kChunkBlocks;
  const uint head = panel + chunk * (f.head_words + kChunkBlocks * f.block_words);
  b.at = head + f.head_words + i * f.block_words;
  if (f.group == 32) {
    const vec2 s = scale_at(f, w, head, b.at, i, row);
    b.scales = s.xx;
    b.minimums = s.yy;
  } else {
    const vec2 low = scale_at(f, w, head, b.at, 2 * i, row);
    const vec2 high = scale_at(f, w, head, b.at, 2 * i + 1, row);
    b.scales = vec2(low.x, high.x);
    b.minimums = vec2(low.y, high.y);
  }
  return b;
}

vec4 bytes_of(uint word) {
  return vec4(word & 255, word >> 8 & 255, word >> 16 & 255, word >> 24);
}

// Four codes, one per byte: columns 4 * four to 4 * four + 3 of the block.
uint codes_of(const Format f, Words w, uint at, uint four, uint row) {
  if (f.bits == 8) return w.v[at + four * kPanelRows + row];
  uint codes = 0, shift = 0;
  if (f.bits >= 4) {
    codes = w.v[at + four % 4 * kPanelRows + row] >> (four / 4 * 4) & 0x0F0F0F0F;
    shift = 4;
    at += 4 * kPanelRows;
  }
  if (f.bits % 4 >= 2) {
    codes |= (w.v[at + four / 4 * kPanelRows + row] >> (four % 4 * 2) & 0x03030303) << shift;
    shift += 2;
    at += 2 * kPanelRows;
  }
  if (f.bits % 2 == 1) codes |= (w.v[at + row] >> four & 0x01010101) << shift;
  return codes;
}

// Each code's level + 128, in place.
uint levels_of(const Format f, uint codes) {
  uint levels = 0;
  [[unroll]] for (uint i = 0; i < 4; ++i) {
    const uint code = codes >> (8 * i) & 15;
    uint four;
    if (f.table == 1) {
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
vec4 weights_at(const Format f, Words w, Words codebook, Block b, uint four, uint row) {
  const uint i = 4 * four * kPanelRows + row;
  if (f.plain == 1) {
    return vec4(uintBitsToFloat(w.v[b.at + i]), uintBitsToFloat(w.v[b.at + i + 16]),
                uintBitsToFloat(w.v[b.at + i + 32]), uintBitsToFloat(w.v[b.at + i + 48]));
  }
  if (f.plain == 2) {
    return vec4(half_at(w, b.at, i), half_at(w, b.at, i + 16), half_at(w, b.at, i + 32),
                half_at(w, b.at, i + 48));
  }
  if (f.plain == 3) {
    const uint high = 16 * (i & 1), at = b.at + (i >> 1);
    const uvec4 words = uvec4(w.v[at], w.v[at + 8], w.v[at + 16], w.v[at + 24]);
    return uintBitsToFloat((words >> high) << 16);
  }
  const float scale = four < 4 ? b.scales.x : b.scales.y;
  if (f.scales == kScaleCodebook) return scale * codebook_values(w, codebook, b.at, four, row);
  uint codes = codes_of(f, w, b.at, four, row);
  if (f.table != 0) codes = levels_of(f, codes);
  if (f.zero == 128) return scale * (bytes_of(codes) - 128);
  return scale * bytes_of(codes) - (four < 4 ? b.minimums.x : b.minimums.y);
}
