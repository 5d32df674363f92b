// The weights of a model: its file's tensors by role, checked against the config, in the back end.
//
// Loading fails early: a missing tensor, a wrong shape or a type that the back end cannot multiply
// is a ModelError that names the tensor.
#pragma once

#include <functional>
#include <vector>

#include "model/compute/backend.h"
#include "model/net/config.h"

namespace corvid::model {

struct LayerWeights {
  Norm attn_norm;
  Matrix q;  // [heads * (nope + rope), dim], or in two steps over a norm:
  Matrix q_a, q_b;
  Norm q_a_norm;
  Matrix kv_a;  // [kv_lora + rope, dim]
  Norm kv_a_norm;
  Matrix k_b;  // per head [kv_lora, nope]
  Matrix v_b;  // per head [value, kv_lora]
  Matrix attn_out;

  Matrix index_q;       // [index_heads * index_width, q_lora]
  Matrix index_k;       // [index_width, dim]
  Norm index_k_norm;    // LayerNorm
  Matrix index_weight;  // [index_heads, dim]

  Norm ffn_norm;
  GatedFfn dense;  // leading layers, or:
  Router router;
  GatedFfn experts, shared;
};

struct Weights {
  Matrix embedding;  // table
  std::vector<LayerWeights> layers;
  Norm output_norm;
  Matrix output;  // [vocab, dim]
  Rope rope;
};

// `on_progress` may be empty; it is called with 0 to 1.
Weights load_weights(const GgufFile& file, const Config& config, Backend& backend,
                     const std::function<void(double)>& on_progress);

// exact when every matrix of the file is F32, fine when none of them is quantised.
Precision precision_of(const GgufFile& file);

}  // namespace corvid::model
