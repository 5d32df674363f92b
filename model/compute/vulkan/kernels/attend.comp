// The running softmax of a few heads of a row over a part of its tokens, in the absorbed form:
//   score[h][s] = scale * (absorbed[h] . latent[s] + rope(query[h]) . rope_key[s])
//   state[h] = { largest score, sum of exp(score - largest), sum of exp(..) * latent[s] }
// The tokens are those that top_k kept, or all. A part is a multiple of kTokens tokens.
//
// A workgroup has kHeads heads; it reads a token's row once for the scores of all of them (16
// threads a row), and once more to add it up (a thread for every four values of the latent, or more
// fours 128 apart).
// Grid: parts, heads / kHeads, n.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "cache.glsl"
#include "subgroup.glsl"

layout(local_size_x = 128) in;
layout(constant_id = 8) const bool kSelected = false;
layout(constant_id = 9) const uint kHeads = 8;

layout(push_constant) uniform Push {
  Rows rows;
  Pointers pages;
  Floats angles;
  Vec4s absorbed;  // [n][heads][kLatent], rows padded
  Floats query;    // [n][heads][nope + kRope]
  Words kept;      // [n][kept_stride]
  Vec4s states;    // [n][parts][heads][4 + kLatent]
  uint layer_at, heads, parts, query_stride, nope, kept_stride;
  float scale;
} p;

const uint kThreads = 128;
const uint kTokens = 64;  // at a time
const uint kLanes = 16;   // that share a token while it is scored
const uint kRows = kThreads / kLanes;
const uint kQuads = (kLatent + kRope) / 4, kLatentQuads = kLatent / 4;
const uint kOwnQuads = (kLatentQuads + kThreads - 1) / kThreads;  // of a thread
#define kInfinity uintBitsToFloat(0x7F800000)

shared vec4 queries[kHeads * kQuads];
const uint kWithin = kSubgroup < kLanes ? kSubgroup : kLanes;  // lanes that need no shared memory
const uint kPartials = kLanes / kWithin;
shared float partial[kRows * kHeads * kPartials];
shared float lane_values[kThreads];
shared float scores[kHeads * kTokens];
shared float largest[kHeads], sum[kHeads], shrink[kHeads];

// Four values of a token's row.
vec4 cached(Words page, uint row, uint quad) {
  if (kExactRows) {
    const uint at = row + 4 * quad;
    return uintBitsToFloat(uvec4(page.v[at], page.v[at + 1], page.v[at + 2], page.v[at + 3]));
  }
  const uint at = row + 2 * quad;
  return vec4(unpackHalf2x16(page.v[at]), unpackHalf2x16(page.v[at + 1]));
}

void load_queries(uint row, uint first, uint position) {
  const uint thread = thread_number();
  for (uint i = thread; i < kHeads * kLatentQuads; i += kThreads) {
    const uint h = i / kLatentQuads, quad = i % kLatentQuads;
    const uint head = min(first + h, p.heads - 1), at = row * padded(p.heads * kLatent) / 4;
    queries[h * kQuads + quad] = p.scale * p.absorbed.v[at + head * kLatentQuads + quad];
  }
  for (uint i = thread; i < kHeads * kRope / 4; i += kThreads) {
    const uint h = i / (kRope / 4), quad = i % (kRope / 4);
    const uint head = min(first + h, p.heads - 1);
    const uint at = row * p.query_stride + head * (p.nope + kRope) + p.nope + 4 * quad;
    const vec2 a = vec2(p.query.v[at], p.query.v[at + 1]);
    const vec2 b = vec2(p.query.v[at + 2], p.query.v[at + 3]);
    const vec2 first_turned = turn(p.angles, position, 2 * quad, a);
    const vec2 second_turned = turn(p.angles, position, 2 * quad + 1, b);
    queries[h * kQuads + kLatentQuads + quad] = p.scale * vec4(first_turned, second_turned);
  }
}

// Of token t of the row's list: its page, and its row's first word.
Words locate(Row r, uint i, uint t, out uint row) {
  const uint position = kSelected && p.kept.v[i * p.kept_stride] != 0xFFFFFFFF
                            ? p.kept.v[i * p.kept_stride + 1 + t]
                            : t;
  row = p.layer_at + position % kPageTokens * kRowWords;
  return p.pages.v[r.first_page + position / kPageTokens];
}

float sum_of_partials(uint at) {
  float sums[kPartials];
  [[unroll]] for (uint j = 0; j < kPartials; ++j) sums[j] = partial[at * kPartials + j];
  [[unroll]] for (uint j = kPartials / 2; j > 0; j /= 2) {
    [[unroll]] for (uint i = 0; i < j; ++i) sums[i] = sums[2 * i] + sums[2 * i + 1];
  }
  return sums[0];
}

void score_tokens(Row r, uint i, uint first, uint n) {
  const uint thread = thread_number(), lane = thread % kLanes, line = thread / kLanes;
  for (uint t = 0; t < kTokens; t += kRows) {
    if (t >= n) break;
    float dots[kHeads];
    [[unroll]] for (uint h = 0; h < kHeads; ++h) dots[h] = 0;
    if (t + line < n) {
      uint row;
      Words page = locate(r, i, first + t + line, row);
      for (uint quad = lane; quad < kQuads; quad += kLanes) {
        const vec4 value = cached(page, row, quad);
        [[unroll]] for (uint h = 0; h < kHeads; ++h) {
          dots[h] += dot(value, queries[h * kQuads + quad]);
        }
      }
    }
    [[unroll]] for (uint h = 0; h < kHeads; ++h) {
      float sum_here = dots[h];
      [[unroll]] for (uint step = 1; step < kWithin; step *= 2) {
        sum_here += across(sum_here, step);
      }
      if (lane % kWithin == 0) {
        partial[(line * kHeads + h) * kPartials + lane / kWithin] = sum_here;
      }
    }
    barrier();
    if (thread < kRows * kHeads && t + thread / kHeads < n) {
      scores[thread % kHeads * kTokens + t + thread / kHeads] = sum_of_partials(thread);
    }
    barrier();
  }
}

// Combines what the 16 threads of a line have; each gets the result.
#define LINE_FUNCTION(name, combine)                                                      \
  float name(float value) {                                                               \
    const uint thread = thread_number();                                                  \
    [[unroll]] for (uint step = 1; step < kWithin; step *= 2) {                           \
      value = combine(value, across(value, step));                                        \
    }                                                                                     \
    [[unroll]] for (uint step = kWithin; step < kLanes; step *= 2) {                      \
      lane_values[thread] = value;                                                        \
      barrier();                                                                          \
      value = combine(value, lane_values[thread ^ step]);                                 \
      barrier();                                                                          \
    }                                                                                     \
    return value;                                                                         \
  }
float plus(float a, float b) {
  return a + b;
}
LINE_FUNCTION(line_sum, plus)
LINE_FUNCTION(line_max, max)

// Turns scores into weights, a line of threads a head, and says by how much what was summed so far
// shrinks.
void weigh(uint n) {
  const uint h = thread_number() / kLanes, lane = thread_number() % kLanes;
  const uint end = h < kHeads ? n : 0;
  float high = h < kHeads ? largest[h] : 0;
  for (uint t = lane; t < end; t += kLanes) high = max(high, scores[h * kTokens + t]);
  high = line_max(high);
  float total = 0;
  for (uint t = lane; t < end; t += kLanes) {
    const float weight = exp(scores[h * kTokens + t] - high);
    scores[h * kTokens + t] = weight;
    total += weight;
  }
  total = line_sum(total);
  barrier();
  if (h < kHeads && lane == 0) {
    shrink[h] = exp(largest[h] - high);
    sum[h] = sum[h] * shrink[h] + total;
    largest[h] = high;
  }
  barrier();
}

void main() {
  const uint thread = thread_number(), i = gl_WorkGroupID.z;
  const uint first_head = gl_WorkGroupID.y * kHeads;
  const Row r = p.rows.v[i];
  uint n = r.position + 1;
  if (kSelected) n = min(n, p.kept.v[i * p.kept_stride]);
  const uint tiles = (n + kTokens - 1) / kTokens;
  const uint share = (tiles + p.parts - 1) / p.parts * kTokens;
  const uint begin = min(gl_WorkGroupID.x * share, n), end = min(begin + share, n);

  load_queries(i, first_head, r.position);
  if (thread < kHeads) {
    largest[thread] = -kInfinity;
    sum[thread] = 0;
  }
  vec4 weighted[kOwnQuads * kHeads];
  [[unroll]] for (uint h = 0; h < kOwnQuads * kHeads; ++h) weighted[h] = vec4(0);
  barrier();
  for (uint t = begin; t < end; t += kTokens) {
    const uint tokens = min(kTokens, end - t);
    score_tokens(r, i, t, tokens);
    weigh(tokens);
    [[unroll]] for (uint own = 0; own < kOwnQuads; ++own) {
      const uint quad = own * kThreads + thread, at = own * kHeads;
      if (quad >= kLatentQuads) continue;
      [[unroll]] for (uint h = 0; h < kHeads; ++h) weighted[at + h] *= shrink[h];
      for (uint j = 0; j < tokens; ++j) {
        uint row;
        Words page = locate(r, i, t + j, row);
        const vec4 value = cached(page, row, quad);
        [[unroll]] for (uint h = 0; h < kHeads; ++h) {
          weighted[at + h] += scores[h * kTokens + j] * value;
        }
      }
    }
    barrier();
  }
  const uint size = 1 + kLatentQuads;
  for (uint h = 0; h < kHeads && first_head + h < p.heads; ++h) {
    const uint at = ((i * p.parts + gl_WorkGroupID.x) * p.heads + first_head + h) * size;
    if (thread == 0) p.states.v[at] = vec4(largest[h], sum[h], 0, 0);
    [[unroll]] for (uint own = 0; own < kOwnQuads; ++own) {
      const uint quad = own * kThreads + thread;
      if (quad < kLatentQuads) p.states.v[at + 1 + quad] = weighted[own * kHeads + h];
    }
  }
}
