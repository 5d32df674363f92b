// The hyper-parameters of a model, read from its file and checked once.
//
// Covers the DeepSeek family: `deepseek2` (V2-Lite, Coder-V2-Lite, V3, R1, V3.1, Kimi K2) and
// `deepseek32` (V3.2, with the indexer). Plain values; immutable after reading. read_config throws
// ModelError that names the key.
#pragma once

#include <string>
#include <vector>

#include "model/compute/backend.h"

namespace corvid::model {

// Stretched rotary embedding. Source: YaRN (Peng et al. 2023), as DeepSeek-V2 uses it.
struct Yarn {
  double factor = 1;
  double original_context = 0;
  double beta_fast = 32, beta_slow = 1;
  double log_multiplier = 0;  // of the attention scale: (1 + log_multiplier * ln factor)^2
};

struct Config {
  std::string architecture;
  int layers = 0;        // of the trunk, without next-token-prediction layers
  int dense_layers = 0;  // leading layers without experts
  int dim = 0;
  int vocab = 0;
  int context = 0;
  float eps = 0;

  int heads = 0;
  int q_lora = 0;  // 0: queries are projected directly
  int kv_lora = 0;
  int nope = 0, rope = 0;  // of a query or key head
  int value = 0;           // of a value head
  double rope_base = 0;
  bool has_yarn = false;
  Yarn yarn;

  int index_heads = 0;  // 0: attention is dense
  int index_width = 0;
  int index_top_k = 0;

  int ffn = 0;  // of the dense layers
  int experts = 0, experts_used = 0, shared_experts = 0;
  int expert_ffn = 0;
  int expert_groups = 1, expert_groups_used = 1;
  Gating gating = Gating::softmax;
  bool normalise_weights = false;
  float weights_scale = 1;

  float attention_scale() const;
  std::vector<double> rope_frequencies() const;  // [rope / 2]
};

Config read_config(const GgufFile& file);

}  // namespace corvid::model
