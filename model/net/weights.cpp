#include "model/net/weights.h"

#include <algorithm>
#include <string>

#include "model/error.h"
#include "model/files/quant_blocks.h"

namespace corvid::model {
namespace {

constexpr float kIndexNormEps = 1e-6f;  // of the indexer's LayerNorm in every known model

std::string shape_text(const std::vector<std::int64_t>& ne) {
  std::string text = "{";
  for (std::size_t i = 0; i < ne.size(); ++i) text += (i ? ", " : "") + std::to_string(ne[i]);
  return text + "}";
}

class Loader {
 public:
  Loader(const GgufFile& file, const Config& config, Backend& backend)
      : file_(file), c_(config), backend_(backend) {}

  Weights load(const std::function<void(double)>& on_progress) {
    Weights weights;
    const TensorView& embedding = tensor("token_embd.weight", {c_.dim, c_.vocab});
    weights.embedding = backend_.add_table(embedding);
    weights.rope = backend_.add_rope(c_.rope_frequencies());
    for (int i = 0; i < c_.layers; ++i) {
      prefix_ = "blk." + std::to_string(i) + ".";
      weights.layers.push_back(layer(i));
      if (on_progress) on_progress((i + 1.0) / (c_.layers + 1));
    }
    prefix_.clear();
    weights.output_norm = norm("output_norm.weight", c_.dim);
    const bool tied = !file_.tensor("output.weight");
    weights.output =
        tied ? backend_.add_matrix(embedding) : matrix("output.weight", {c_.dim, c_.vocab});
    if (on_progress) on_progress(1);
    return weights;
  }

 private:
  LayerWeights layer(int i) {
    LayerWeights w;
    w.attn_norm = norm("attn_norm.weight", c_.dim);
    queries(w);
    w.kv_a = matrix("attn_kv_a_mqa.weight", {c_.dim, c_.kv_lora + c_.rope});
    w.kv_a_norm = norm("attn_kv_a_norm.weight", c_.kv_lora);
    expansion(w);
    w.attn_out = matrix("attn_output.weight", {c_.heads * c_.value, c_.dim});
    if (c_.index_heads > 0) indexer(w);
    w.ffn_norm = norm("ffn_norm.weight", c_.dim);
    if (i < c_.dense_layers) {
      w.dense = ffn("", c_.ffn);
    } else {
      mixture(w);
    }
    return w;
  }

  void queries(LayerWeights& w) {
    const int width = c_.heads * (c_.nope + c_.rope);
    if (c_.q_lora == 0) {
      w.q = matrix("attn_q.weight", {c_.dim, width});
      return;
    }
    w.q_a = matrix("attn_q_a.weight", {c_.dim, c_.q_lora});
    w.q_a_norm = norm("attn_q_a_norm.weight", c_.q_lora);
    w.q_b = matrix("attn_q_b.weight", {c_.q_lora, width});
  }

  // From latents to keys and values of each head.
  void expansion(LayerWeights& w) {
    if (!file_.tensor(prefix_ + "attn_kv_b.weight") || file_.tensor(prefix_ + "attn_k_b.weight")) {
      w.k_b = matrix("attn_k_b.weight", {c_.nope, c_.kv_lora, c_.heads});
      w.v_b = matrix("attn_v_b.weight", {c_.kv_lora, c_.value, c_.heads});
      return;
    }
    // Old files: per head, nope rows of K, then value rows of V.
    const int rows = c_.nope + c_.value;
    const TensorView& both = tensor("attn_kv_b.weight", {c_.kv_lora, c_.heads * rows});
    const std::size_t k_size = static_cast<std::size_t>(c_.heads) * c_.kv_lora * c_.nope;
    const std::size_t v_size = static_cast<std::size_t>(c_.heads) * c_.kv_lora * c_.value;
    std::vector<float> k(k_size), v(v_size), row(c_.kv_lora);
    const std::size_t bytes = row_bytes(both.type, c_.kv_lora);
    for (int h = 0; h < c_.heads; ++h) {
      for (int r = 0; r < rows; ++r) {
        dequantize_row(both.type, both.data + (static_cast<std::size_t>(h) * rows + r) * bytes,
                       row);
        for (int j = 0; j < c_.kv_lora; ++j) {
          const std::size_t head = static_cast<std::size_t>(h) * c_.kv_lora;
          if (r < c_.nope) k[(head + j) * c_.nope + r] = row[j];
          if (r >= c_.nope) v[head * c_.value + (r - c_.nope) * c_.kv_lora + j] = row[j];
        }
      }
    }
    const bool exact = both.type == Type::f32;
    w.k_b = from_values(prefix_ + "attn_k_b", {c_.nope, c_.kv_lora, c_.heads}, k, exact);
    w.v_b = from_values(prefix_ + "attn_v_b", {c_.kv_lora, c_.value, c_.heads}, v, exact);
  }

  void indexer(LayerWeights& w) {
    w.index_q = matrix("indexer.attn_q_b.weight", {c_.q_lora, c_.index_heads * c_.index_width});
    w.index_k = matrix("indexer.attn_k.weight", {c_.dim, c_.index_width});
    w.index_k_norm = norm("indexer.k_norm.weight", c_.index_width);
    w.index_k_norm.bias = vector("indexer.k_norm.bias", c_.index_width);
    w.index_k_norm.eps = kIndexNormEps;
    w.index_weight = matrix("indexer.proj.weight", {c_.dim, c_.index_heads});
  }

  void mixture(LayerWeights& w) {
    w.router = {.gate = matrix("ffn_gate_inp.weight", {c_.dim, c_.experts}, &Backend::add_router),
                .gating = c_.gating,
                .used = c_.experts_used,
                .groups = c_.expert_groups,
                .groups_used = c_.expert_groups_used,
                .normalise = c_.normalise_weights,
                .scale = c_.weights_scale};
    if (file_.tensor(prefix_ + "exp_probs_b.bias")) {
      w.router.bias = vector("exp_probs_b.bias", c_.experts);
    }
    const int width = c_.expert_ffn;
    constexpr Add kExperts = &Backend::add_experts;
    w.experts.gate = matrix("ffn_gate_exps.weight", {c_.dim, width, c_.experts}, kExperts);
    w.experts.up = matrix("ffn_up_exps.weight", {c_.dim, width, c_.experts}, kExperts);
    w.experts.down = matrix("ffn_down_exps.weight", {width, c_.dim, c_.experts}, kExperts);
    if (c_.shared_experts > 0) w.shared = ffn("_shexp", width * c_.shared_experts);
  }

  GatedFfn ffn(const std::string& suffix, int width) {
    return {matrix("ffn_gate" + suffix + ".weight", {c_.dim, width}),
            matrix("ffn_up" + suffix + ".weight", {c_.dim, width}),
            matrix("ffn_down" + suffix + ".weight", {width, c_.dim})};
  }

  const TensorView& tensor(const std::string& name, const std::vector<std::int64_t>& ne) const {
    const TensorView* found = file_.tensor(prefix_ + name);
    if (!found) throw ModelError(file_.name() + ": tensor '" + prefix_ + name + "' is missing");
    if (found->ne != ne) {
      throw ModelError(file_.name() + ": tensor '" + prefix_ + name + "' has shape " +
                       shape_text(found->ne) + ", but the model's keys say " + shape_text(ne));
    }
    return *found;
  }
  using Add = Matrix (Backend::*)(const TensorView&);
  Matrix matrix(const std::string& name, const std::vector<std::int64_t>& ne,
                Add add = &Backend::add_matrix) {
    const TensorView& view = tensor(name, ne);
    const Matrix made = (backend_.*add)(view);
    file_.let_go(view);  // the back end has its own copy
    return made;
  }
  Vector vector(const std::string& name, int n) { return backend_.add_vector(tensor(name, {n})); }
  Norm norm(const std::string& name, int n) { return {.weight = vector(name, n), .eps = c_.eps}; }
  Matrix from_values(std::string name, std::vector<std::int64_t> ne,
                     const std::vector<float>& values, bool exact) {
    std::vector<std::uint16_t> halves(exact ? 0 : values.size());
    std::transform(values.begin(), values.begin() + halves.size(), halves.begin(), f32_to_f16);
    const void* data = exact ? static_cast<const void*>(values.data()) : halves.data();
    return backend_.add_matrix({.name = std::move(name),
                                .type = exact ? Type::f32 : Type::f16,
                                .ne = std::move(ne),
                                .data = static_cast<const std::byte*>(data),
                                .bytes = values.size() * (exact ? 4 : 2)});
  }

  const GgufFile& file_;
  const Config& c_;
  Backend& backend_;
  std::string prefix_;
};

}  // namespace

Weights load_weights(const GgufFile& file, const Config& config, Backend& backend,
                     const std::function<void(double)>& on_progress) {
  return Loader(file, config, backend).load(on_progress);
}

Precision precision_of(const GgufFile& file) {
  Precision precision = Precision::exact;
  for (const TensorView& tensor : file.tensors()) {
    if (tensor.ne.size() < 2 || tensor.type == Type::f32) continue;
    if (is_quantized(tensor.type)) return Precision::fast;
    precision = Precision::fine;
  }
  return precision;
}

}  // namespace corvid::model
