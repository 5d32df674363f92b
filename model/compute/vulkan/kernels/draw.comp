// tokens[i] = a token drawn from logits [n][vocab] as model/compute/draw.h says; -1 if none has a
// logit above -infinity. Row i goes on with it to its next position, and the series of its random
// numbers to the next. One workgroup a row. Grid: n.
//
// Weights exp((logit - largest) / temperature) are added as integers of 28 fractional bits, in two
// words of 14: their sums do not depend on the order, and what weighs less is never drawn. The
// token at which the sum of the weights, from the heaviest down, passes a value is found byte by
// byte of its logit, from the top, by histograms of weights in shared memory.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "ordered.glsl"

layout(local_size_x = 256) in;

struct Draw {
  Words allowed;  // a bit for each of n_tokens, unless all are
  uint n_tokens, masked;
  float inverse_temperature;  // 0: the largest logit, of equals the first
  float top_p, least;
  uint unused;
  uvec2 random;  // the state of a series, lower half first
};
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Draws { Draw v[]; };

layout(push_constant) uniform Push {
  Floats logits;
  Draws draws;
  Words tokens;
  Rows rows;
  uint stride, unused;
} p;

const uint kThreads = 256, kHalfBits = 14;
#define kInfinity uintBitsToFloat(0x7F800000)

shared float best_value[kThreads];
shared uint best_token[kThreads];
shared uint high[kThreads], low[kThreads];  // sums of weights of a digit, or of a thread's tokens
shared uint found[kThreads + 1];
shared float left, wanted;
shared uint digit;

Draw d;
uint row;
float largest, random;

// By one thread.
void take(uint token) {
  const uint i = gl_WorkGroupID.x;
  p.tokens.v[i] = token;
  p.rows.v[i].token = token;
  p.rows.v[i].position += 1;
}

uvec2 times(uvec2 a, uvec2 b) {
  uint high, low;
  umulExtended(a.x, b.x, high, low);
  return uvec2(low, high + a.x * b.y + a.y * b.x);
}

uvec2 shifted(uvec2 a, uint n) {
  return uvec2(a.x >> n | a.y << (32 - n), a.y >> n);
}

// random_number() of draw.h, of which a float holds 24 bits.
float random_number(uvec2 z) {
  z = times(z ^ shifted(z, 30), uvec2(0x1CE4E5B9, 0xBF58476D));
  z = times(z ^ shifted(z, 27), uvec2(0x133111EB, 0x94D049BB));
  z ^= shifted(z, 31);
  return float(z.y >> 8) / float(1 << 24);
}

// By one thread: the state grows by kRandomStep.
void advance_random() {
  uint carry;
  const uint low = uaddCarry(d.random.x, 0x7F4A7C15, carry);
  p.draws.v[gl_WorkGroupID.x].random = uvec2(low, d.random.y + 0x9E3779B9 + carry);
}

bool is_allowed(uint token) {
  return d.masked == 0 || (d.allowed.v[token >> 5] >> (token & 31) & 1) != 0;
}

float weight_of(float logit) {
  const float weight = exp((logit - largest) * d.inverse_temperature);
  return weight >= d.least ? weight : 0;
}

uvec2 fixed_point(float weight) {
  const float scaled = weight * float(1 << kHalfBits);
  return uvec2(scaled, fract(scaled) * float(1 << kHalfBits));
}

float value_of(uint i) {
  return (float(high[i]) + float(low[i]) / float(1 << kHalfBits)) / float(1 << kHalfBits);
}

// The first of the largest logits; none above -infinity: token -1.
void find_largest() {
  const uint thread = gl_LocalInvocationID.x;
  float value = -kInfinity;
  uint token = 0xFFFFFFFF;
  for (uint t = thread; t < d.n_tokens; t += kThreads) {
    const float logit = p.logits.v[row + t];
    if (logit > value && is_allowed(t)) {
      value = logit;
      token = t;
    }
  }
  best_value[thread] = value;
  best_token[thread] = token;
  for (uint step = kThreads / 2; step > 0; step /= 2) {
    barrier();
    if (thread >= step) continue;
    const float other = best_value[thread + step];
    const uint other_token = best_token[thread + step];
    const bool earlier = other == best_value[thread] && other_token < best_token[thread];
    if (other > best_value[thread] || earlier) {
      best_value[thread] = other;
      best_token[thread] = other_token;
    }
  }
  barrier();
  largest = best_value[0];
}

// Weights of the tokens whose key agrees with `prefix` in the bits of `mask`, by the next byte.
void add_digits(uint prefix, uint mask, uint shift) {
  const uint thread = gl_LocalInvocationID.x;
  high[thread] = low[thread] = 0;
  barrier();
  for (uint t = thread; t < d.n_tokens; t += kThreads) {
    const float logit = p.logits.v[row + t];
    const uint key = ordered(logit);
    if ((key & mask) != prefix || !is_allowed(t)) continue;
    const uvec2 weight = fixed_point(weight_of(logit));
    atomicAdd(high[key >> shift & 255], weight.x);
    atomicAdd(low[key >> shift & 255], weight.y);
  }
  barrier();
}

// The key at which the sum from the heaviest token down passes `target`, or a share of all if
// is_share; `left` is what is missing before its first token.
uint descend(float target, bool is_share) {
  const uint thread = gl_LocalInvocationID.x;
  uint prefix = 0, mask = 0;
  if (thread == 0) left = target;
  for (int shift = 24; shift >= 0; shift -= 8) {
    add_digits(prefix, mask, shift);
    if (thread == 0) {
      if (is_share && shift == 24) {
        float total = 0;
        for (uint i = 0; i < kThreads; ++i) total += value_of(i);
        left = wanted = target * total;
      }
      float missing = left;
      for (uint i = kThreads; i-- > 0;) {
        const float value = value_of(i);
        if (value <= 0) continue;
        digit = i;
        left = missing;
        if (missing < value) break;
        missing -= value;
      }
    }
    barrier();
    prefix |= digit << shift;
    mask |= 255u << shift;
    barrier();
  }
  return prefix;
}

// Every thread looks after a range of tokens.
uvec2 range() {
  const uint size = (d.n_tokens + kThreads - 1) / kThreads;
  const uint begin = min(gl_LocalInvocationID.x * size, d.n_tokens);
  return uvec2(begin, min(begin + size, d.n_tokens));
}

// Writes token `nth` of those with this key, counted from the lowest; or the last there is.
void take_nth(uint key, uint nth) {
  const uint thread = gl_LocalInvocationID.x;
  const uvec2 tokens = range();
  uint n = 0;
  for (uint t = tokens.x; t < tokens.y; ++t) {
    n += uint(ordered(p.logits.v[row + t]) == key && is_allowed(t));
  }
  found[thread + 1] = n;
  barrier();
  if (thread == 0) {
    found[0] = 0;
    for (uint i = 1; i <= kThreads; ++i) found[i] += found[i - 1];
  }
  barrier();
  nth = min(nth, found[kThreads] - 1);
  uint at = found[thread];
  if (nth < at || nth >= found[thread + 1]) return;
  for (uint t = tokens.x; t < tokens.y; ++t) {
    if (ordered(p.logits.v[row + t]) != key || !is_allowed(t)) continue;
    if (at++ == nth) take(t);
  }
}

float weight_of_key(uint key) {
  const uint bits = (key & 0x80000000) != 0 ? key & 0x7FFFFFFF : ~key;
  const uvec2 weight = fixed_point(weight_of(uintBitsToFloat(bits)));
  return (float(weight.x) + float(weight.y) / float(1 << kHalfBits)) / float(1 << kHalfBits);
}

// The fewest of the heaviest tokens that weigh top_p of all, drawn from in the order of weights.
void draw_from_heaviest() {
  const uint last = descend(d.top_p, true);
  const float above = wanted - left, weight = weight_of_key(last);
  const float kept = max(ceil(left / weight), above > 0 ? 0 : 1);
  const float total = above + kept * weight;
  barrier();
  const uint key = descend(random * total, false);
  const uint nth = uint(left / weight_of_key(key));
  take_nth(key, key == last ? min(nth, uint(max(kept, 1)) - 1) : nth);
}

// In the order of ids.
void draw_from_all() {
  const uint thread = gl_LocalInvocationID.x;
  const uvec2 tokens = range();
  uvec2 own = uvec2(0);
  for (uint t = tokens.x; t < tokens.y; ++t) {
    if (is_allowed(t)) own += fixed_point(weight_of(p.logits.v[row + t]));
  }
  high[thread] = own.x;
  low[thread] = own.y;
  barrier();
  if (thread == 0) {
    float missing = 0;
    for (uint i = 0; i < kThreads; ++i) missing += value_of(i);
    missing *= random;
    for (uint i = 0; i < kThreads; ++i) {
      const float value = value_of(i);
      if (value <= 0) continue;
      digit = i;
      left = missing;
      if (missing < value) break;
      missing -= value;
    }
  }
  barrier();
  if (thread != digit) return;
  float missing = left;
  uint token = 0;
  for (uint t = tokens.x; t < tokens.y; ++t) {
    if (!is_allowed(t)) continue;
    const uvec2 weight = fixed_point(weight_of(p.logits.v[row + t]));
    if (weight == uvec2(0)) continue;
    token = t;
    missing -= (float(weight.x) + float(weight.y) / float(1 << kHalfBits)) / float(1 << kHalfBits);
    if (missing < 0) break;
  }
  take(token);
}

void main() {
  d = p.draws.v[gl_WorkGroupID.x];
  row = gl_WorkGroupID.x * p.stride;
  random = random_number(d.random);
  find_largest();
  memoryBarrierBuffer();  // everybody has read d
  barrier();
  const bool is_first = gl_LocalInvocationID.x == 0, is_greedy = d.inverse_temperature == 0;
  if (is_first && !is_greedy) advance_random();
  if (best_token[0] == 0xFFFFFFFF || is_greedy) {
    if (is_first) take(best_token[0]);
  } else if (d.top_p < 1) {
    draw_from_heaviest();
  } else {
    draw_from_all();
  }
}
