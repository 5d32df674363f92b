// The experts of every row and their weights, from the router's logits [n][experts].
//   p = sigmoid(logits) or softmax(logits); chosen: the `used` largest of p + bias, from the groups
//   whose best is highest or, with a bias, whose two best sum highest; weight = scale * p, divided by the sum of the chosen if kNormalise.
// Ties go to the lower index. Grid: n. Source: DeepSeek-V3 report, equations 12 to 16.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "group.glsl"

layout(constant_id = 0) const bool kSigmoid = false;
layout(constant_id = 1) const bool kNormalise = false;

layout(push_constant) uniform Push {
  Floats logits;
  Floats bias;     // [experts], if has_bias
  Words chosen;    // [n][used]
  Floats weights;  // [n][used]
  uint logits_stride;
  uint experts, used, groups, groups_used, has_bias;
  float scale;
} p;

const uint kMostExperts = 1024;
#define kInfinity uintBitsToFloat(0x7F800000)
// Sums of weights are kept away from zero as the reference engines do (smallest normal half).
const float kLeastSum = 6.103515625e-5;

shared float probability[kMostExperts];
shared float score[kMostExperts];
shared float of_group[kMostExperts];
shared float best_value[kSubgroups];
shared uint best_index[kSubgroups];

bool is_better(float value, uint index, float than, uint at) {
  return value > than || (value == than && index < at);
}

// The first of the largest scores.
uint take_best() {
  const uint i = thread_number();
  float value = -kInfinity;
  uint index = i < p.experts ? i : 0;
  for (uint e = i; e < p.experts; e += kThreads) {
    if (score[e] > value) {
      value = score[e];
      index = e;
    }
  }
  [[unroll]] for (uint step = 1; step < kSubgroup; step *= 2) {
    const float other = across(value, step);
    const uint at = across(index, step);
    if (is_better(other, at, value, index)) {
      value = other;
      index = at;
    }
  }
  if (kSubgroups == 1) return index;
  if (i % kSubgroup == 0) {
    best_value[i / kSubgroup] = value;
    best_index[i / kSubgroup] = index;
  }
  for (uint step = kSubgroups / 2; step > 0; step /= 2) {
    barrier();
    if (i < step && is_better(best_value[i + step], best_index[i + step], best_value[i],
                              best_index[i])) {
      best_value[i] = best_value[i + step];
      best_index[i] = best_index[i + step];
    }
  }
  barrier();
  const uint best = best_index[0];
  barrier();
  return best;
}

void keep_best_groups() {
  const uint i = thread_number(), size = p.experts / p.groups;
  for (uint g = i; g < p.groups; g += kThreads) {
    float best = -kInfinity, second = -kInfinity;
    for (uint e = g * size; e < (g + 1) * size; ++e) {
      second = score[e] > best ? best : max(second, score[e]);
      best = max(best, score[e]);
    }
    of_group[g] = p.has_bias != 0 && size > 1 ? best + second : best;
  }
  barrier();
  // A group is out when enough others are better.
  for (uint e = i; e < p.experts; e += kThreads) {
    const uint g = e / size;
    uint better = 0;
    for (uint other = 0; other < p.groups; ++other) {
      if (of_group[other] > of_group[g] || (of_group[other] == of_group[g] && other < g)) {
        ++better;
      }
    }
    if (better >= p.groups_used) score[e] = -kInfinity;
  }
  barrier();
}

void main() {
  const uint i = thread_number(), row = gl_WorkGroupID.x;
  float largest = -kInfinity, sum = 0;
  for (uint e = i; e < p.experts; e += kThreads) {
    probability[e] = p.logits.v[row * p.logits_stride + e];
    largest = max(largest, probability[e]);
  }
  if (!kSigmoid) largest = group_max(largest);
  for (uint e = i; e < p.experts; e += kThreads) {
    const float logit = probability[e];
    probability[e] = kSigmoid ? 1 / (1 + exp(-logit)) : exp(logit - largest);
    sum += probability[e];
  }
  if (!kSigmoid) sum = group_sum(sum);
  for (uint e = i; e < p.experts; e += kThreads) {
    if (!kSigmoid) probability[e] /= sum;
    score[e] = probability[e];
    if (p.has_bias != 0) score[e] += p.bias.v[e];
  }
  barrier();
  if (p.groups > 1) keep_best_groups();
  float total = 0;
  for (uint u = 0; u < p.used; ++u) {
    const uint best = take_best();
    total += probability[best];
    if (i == 0) {
      score[best] = -kInfinity;
      p.chosen.v[row * p.used + u] = best;
      p.weights.v[row * p.used + u] = probability[best];
    }
    barrier();
  }
  if (i != 0) return;
  const float factor = p.scale / (kNormalise ? max(total, kLeastSum) : 1);
  for (uint u = 0; u < p.used; ++u) p.weights.v[row * p.used + u] *= factor;
}
