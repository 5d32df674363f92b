#include "model/net/config.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>

#include "model/error.h"

namespace corvid::model {
namespace {

// Reads keys below the architecture's prefix.
class Keys {
 public:
  Keys(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  std::optional<int> maybe(const std::string& key, std::int64_t least, std::int64_t most) const {
    const auto value = file_.integer(prefix_ + key);
    if (value && (*value < least || *value > most)) {
      fail(key, "is " + std::to_string(*value) + ", outside " + std::to_string(least) + " to " +
                    std::to_string(most));
    }
    if (!value) return std::nullopt;
    return static_cast<int>(*value);
  }
  int integer(const std::string& key, std::int64_t least, std::int64_t most) const {
    const auto value = maybe(key, least, most);
    if (!value) fail(key, "is missing");
    return *value;
  }
  std::optional<double> maybe_number(const std::string& key, double least, double most) const {
    const auto value = file_.number(prefix_ + key);
    if (value && !(*value >= least && *value <= most)) {
      fail(key, "is " + shown(*value) + ", outside " + shown(least) + " to " + shown(most));
    }
    return value;
  }
  double number(const std::string& key, double least, double most) const {
    const auto value = maybe_number(key, least, most);
    if (!value) fail(key, "is missing");
    return *value;
  }
  std::optional<std::string> text(const std::string& key) const {
    const auto value = file_.string(prefix_ + key);
    if (!value) return std::nullopt;
    return std::string(*value);
  }
  [[noreturn]] void fail(const std::string& key, const std::string& what) const {
    throw ModelError(file_.name() + ": key '" + prefix_ + key + "' " + what);
  }

 private:
  static std::string shown(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", value);
    return text;
  }

  const GgufFile& file_;
  std::string prefix_;
};

// Beyond these nothing can be meant.
constexpr std::int64_t kMaxDim = 1 << 20;
constexpr std::int64_t kMaxContext = 1 << 24;  // positions are exact in f32
constexpr double kMaxStretch = 1e6;

int read_vocab(const GgufFile& file, const Keys& keys) {
  if (const auto size = keys.maybe("vocab_size", 1, 1 << 24)) return *size;
  if (const auto* tokens = file.strings("tokenizer.ggml.tokens")) {
    return static_cast<int>(tokens->size());
  }
  keys.fail("vocab_size", "is missing and the file has no tokens");
}

void read_attention(const Keys& keys, Config& c) {
  c.heads = keys.integer("attention.head_count", 1, 4096);
  c.q_lora = keys.maybe("attention.q_lora_rank", 0, kMaxDim).value_or(0);
  c.kv_lora = keys.integer("attention.kv_lora_rank", 1, kMaxDim);
  c.rope = keys.integer("rope.dimension_count", 2, 4096);
  if (c.rope % 2 != 0) keys.fail("rope.dimension_count", "must be even");
  // Files from before April 2025 have the widths of a head in key_length and value_length.
  const auto key_length = keys.maybe("attention.key_length_mla", 1, kMaxDim);
  const auto value_length = keys.maybe("attention.value_length_mla", 1, kMaxDim);
  const int key_width = key_length ? *key_length : keys.integer("attention.key_length", 1, kMaxDim);
  c.value = value_length ? *value_length : keys.integer("attention.value_length", 1, kMaxDim);
  c.nope = key_width - c.rope;
  if (c.nope <= 0) keys.fail("attention.key_length", "must be larger than rope.dimension_count");
}

void read_rope(const Keys& keys, Config& c) {
  c.rope_base = keys.number("rope.freq_base", 2, 1e12);
  const std::string type = keys.text("rope.scaling.type").value_or("none");
  if (type == "none") return;
  if (type != "yarn") keys.fail("rope.scaling.type", "is '" + type + "'; known: none, yarn");
  c.has_yarn = true;
  c.yarn.factor = keys.number("rope.scaling.factor", 1, kMaxStretch);
  c.yarn.original_context = keys.number("rope.scaling.original_context_length", 1, kMaxContext);
  const auto beta = [&](const char* key, double otherwise) {
    return keys.maybe_number(key, 1e-3, kMaxStretch).value_or(otherwise);
  };
  c.yarn.beta_fast = beta("rope.scaling.yarn_beta_fast", 32);
  c.yarn.beta_slow = beta("rope.scaling.yarn_beta_slow", 1);
  c.yarn.log_multiplier = keys.maybe_number("rope.scaling.yarn_log_multiplier", 0, 10).value_or(0);
}

void read_indexer(const Keys& keys, Config& c) {
  c.index_heads = keys.integer("attention.indexer.head_count", 1, 4096);
  c.index_width = keys.integer("attention.indexer.key_length", 4, 4096);
  c.index_top_k = keys.integer("attention.indexer.top_k", 1, 1 << 20);
  if (c.q_lora == 0) keys.fail("attention.q_lora_rank", "is missing; the indexer reads it");
  if (c.index_width < c.rope) {
    keys.fail("attention.indexer.key_length", "must not be less than rope.dimension_count");
  }
}

void read_experts(const Keys& keys, Config& c) {
  c.experts = keys.integer("expert_count", 1, 1 << 16);
  c.experts_used = keys.integer("expert_used_count", 1, c.experts);
  c.shared_experts = keys.maybe("expert_shared_count", 0, 1 << 10).value_or(0);
  c.expert_ffn = keys.integer("expert_feed_forward_length", 1, kMaxDim);
  const auto scale = keys.maybe_number("expert_weights_scale", 0, kMaxStretch);
  c.weights_scale = static_cast<float>(scale.value_or(1));
  if (c.weights_scale == 0) c.weights_scale = 1;
  c.normalise_weights = keys.maybe("expert_weights_norm", 0, 1).value_or(0) != 0;
  // GLM-4.7-Flash is sigmoid-gated; its files lack the key, and early ones have it wrong.
  const bool glm_flash = (c.layers == 47 || c.layers == 48) && c.vocab == 154880;
  const int gating = keys.maybe("expert_gating_func", 0, 100).value_or(0);
  if (gating > 2) keys.fail("expert_gating_func", "must be 1 (softmax) or 2 (sigmoid)");
  c.gating = gating == 2 || glm_flash ? Gating::sigmoid : Gating::softmax;
  // Old files lack the groups. All models of that time with 256 experts (V3, R1) have 8, 4 of them
  // used; with 160 (V2, Coder-V2) 8, 3 used.
  const bool old_v3 = c.architecture == "deepseek2" && c.experts == 256;
  const bool old_v2 = c.architecture == "deepseek2" && c.experts == 160;
  const int groups = old_v3 || old_v2 ? 8 : 1, used = old_v3 ? 4 : old_v2 ? 3 : 1;
  c.expert_groups = keys.maybe("expert_group_count", 0, c.experts).value_or(groups);
  c.expert_groups = std::max(c.expert_groups, 1);
  c.expert_groups_used = keys.maybe("expert_group_used_count", 0, c.expert_groups)
                             .value_or(std::min(used, c.expert_groups));
  c.expert_groups_used = std::max(c.expert_groups_used, 1);
  if (c.experts % c.expert_groups != 0) keys.fail("expert_group_count", "must divide the experts");
  if (c.experts_used > c.experts / c.expert_groups * c.expert_groups_used) {
    keys.fail("expert_used_count", "is more than the experts of the groups used");
  }
}

}  // namespace

float Config::attention_scale() const {
  const double stretch = has_yarn ? 1 + yarn.log_multiplier * std::log(yarn.factor) : 1;
  return static_cast<float>(stretch * stretch / std::sqrt(static_cast<double>(nope + rope)));
}

std::vector<double> Config::rope_frequencies() const {
  std::vector<double> frequencies(rope / 2);
  // The pair whose wave turns `turns` times in the original context.
  const auto pair_of = [&](double turns) {
    return rope * std::log(yarn.original_context / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(rope_base));
  };
  double low = 0, high = 0;
  if (has_yarn) {
    low = std::max(std::floor(pair_of(yarn.beta_fast)), 0.0);
    high = std::min(std::ceil(pair_of(yarn.beta_slow)), rope - 1.0);
  }
  for (int i = 0; i < rope / 2; ++i) {
    const double base = std::pow(rope_base, -2.0 * i / rope);
    const double ramp = std::clamp((i - low) / std::max(high - low, 1e-3), 0.0, 1.0);
    frequencies[i] = has_yarn ? base / yarn.factor * ramp + base * (1 - ramp) : base;
  }
  return frequencies;
}

Config read_config(const GgufFile& file) {
  Config c;
  const auto architecture = file.string("general.architecture");
  c.architecture = architecture ? std::string(*architecture) : "";
  if (c.architecture != "deepseek2" && c.architecture != "deepseek32") {
    throw ModelError(file.name() + ": architecture '" + c.architecture +
                     "' is not supported; known: deepseek2, deepseek32");
  }
  const Keys keys(file, c.architecture + ".");
  const int blocks = keys.integer("block_count", 1, 4096);
  c.layers = blocks - keys.maybe("nextn_predict_layers", 0, blocks - 1).value_or(0);
  c.dim = keys.integer("embedding_length", 1, kMaxDim);
  c.vocab = read_vocab(file, keys);
  c.context = keys.integer("context_length", 1, kMaxContext);
  c.eps = static_cast<float>(keys.number("attention.layer_norm_rms_epsilon", 1e-12, 0.1));
  read_attention(keys, c);
  read_rope(keys, c);
  if (c.architecture == "deepseek32") read_indexer(keys, c);
  c.dense_layers = keys.maybe("leading_dense_block_count", 0, blocks).value_or(0);
  c.dense_layers = std::min(c.dense_layers, c.layers);
  if (c.dense_layers > 0) c.ffn = keys.integer("feed_forward_length", 1, kMaxDim);
  if (c.dense_layers < c.layers) read_experts(keys, c);
  return c;
}

}  // namespace corvid::model
