#include "model/net/transformer.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace corvid::model {
namespace {

constexpr int kHeadRows = 16;  // rows of logits held at a time

}  // namespace

Transformer::Transformer(const Config& config, const Weights& weights, Backend& backend,
                         int max_rows)
    : c_(config), w_(weights), b_(backend) {
  x_ = b_.add_tensor(max_rows, c_.dim);
  if (c_.q_lora > 0) q_latent_ = b_.add_tensor(max_rows, c_.q_lora);
  q_ = b_.add_tensor(max_rows, c_.heads * (c_.nope + c_.rope));
  kv_ = b_.add_tensor(max_rows, c_.kv_lora + c_.rope);
  if (c_.index_heads > 0) {
    index_key_ = b_.add_tensor(max_rows, c_.index_width);
    index_q_ = b_.add_tensor(max_rows, c_.index_heads * c_.index_width);
    index_weight_ = b_.add_tensor(max_rows, c_.index_heads);
  }
  attended_ = b_.add_tensor(max_rows, c_.heads * c_.value);
  logits_ = b_.add_tensor(kHeadRows, c_.vocab);
  b_.set_kv_shape({c_.layers, c_.kv_lora, c_.rope, c_.index_width});
}

bool Transformer::forward(const Batch& batch, std::span<const int> rows, std::span<float> logits,
                          std::stop_token stop) {
  const int n_rows = static_cast<int>(batch.tokens.size());
  rows_computed_ += n_rows;
  b_.begin(batch);
  b_.embed(w_.embedding, x_.top(n_rows));
  for (int i = 0; i < c_.layers; ++i) {
    if (stop.stop_requested()) return false;
    layer(i, n_rows, rows);
  }
  head(static_cast<int>(rows.size()), logits);
  return true;
}

void Transformer::layer(int i, int n_rows, std::span<const int> rows) {
  const int n = keys_and_queries(i, n_rows, rows);
  if (n == 0) return;
  attention(i, n);
  ffn(i, n);
}

// Every row leaves its keys in the cache. In the last layer only the rows whose logits are wanted
// go on from there; returns how many do.
int Transformer::keys_and_queries(int i, int n_rows, std::span<const int> rows) {
  const LayerWeights& w = w_.layers[i];
  const bool sparse = c_.index_heads > 0;
  std::vector<Projection> keys = {{w.kv_a, kv_.top(n_rows)}};
  if (sparse) keys.push_back({w.index_k, index_key_.top(n_rows)});
  const auto queries = [&](int n) {
    std::vector<Projection> outs;
    outs.push_back(c_.q_lora > 0 ? Projection{w.q_a, q_latent_.top(n)}
                                 : Projection{w.q, q_.top(n)});
    if (sparse) outs.push_back({w.index_weight, index_weight_.top(n)});
    return outs;
  };
  const bool all = i + 1 < c_.layers || static_cast<int>(rows.size()) == n_rows;
  const int n = all ? n_rows : static_cast<int>(rows.size());
  if (all) {
    for (const Projection& query : queries(n)) keys.push_back(query);
  }
  b_.project(x_.top(n_rows), &w.attn_norm, keys);
  b_.store({.layer = i,
            .latent = kv_.top(n_rows),
            .latent_norm = w.kv_a_norm,
            .rope = w_.rope,
            .index_key = sparse ? index_key_.top(n_rows) : Tensor{},
            .index_norm = w.index_k_norm});
  if (!all && n > 0) {
    b_.narrow(x_.top(n_rows), rows);
    b_.project(x_.top(n), &w.attn_norm, queries(n));
  }
  return n;
}

void Transformer::attention(int i, int n) {
  const LayerWeights& w = w_.layers[i];
  const bool sparse = c_.index_heads > 0;
  if (c_.q_lora > 0) {
    std::vector<Projection> heads = {{w.q_b, q_.top(n)}};
    if (sparse) heads.push_back({w.index_q, index_q_.top(n)});
    b_.project(q_latent_.top(n), &w.q_a_norm, heads);
  }
  if (sparse) {
    const double values = static_cast<double>(c_.index_heads) * c_.index_width;
    b_.select({.layer = i,
               .heads = c_.index_heads,
               .top_k = c_.index_top_k,
               .query = index_q_.top(n),
               .weights = index_weight_.top(n),
               .weight_scale = static_cast<float>(1 / std::sqrt(values)),
               .rope = w_.rope});
  }
  b_.attend({.layer = i,
             .query = q_.top(n),
             .k_b = w.k_b,
             .v_b = w.v_b,
             .rope = w_.rope,
             .scale = c_.attention_scale(),
             .selected = sparse,
             .out = attended_.top(n)});
  const Projection out{.weight = w.attn_out, .out = x_.top(n), .add = true};
  b_.project(attended_.top(n), nullptr, {&out, 1});
}

void Transformer::ffn(int i, int n) {
  const LayerWeights& w = w_.layers[i];
  if (w.dense.gate) {
    b_.feed_forward(x_.top(n), w.ffn_norm, w.dense);
  } else {
    b_.mix_experts(x_.top(n), w.ffn_norm, w.router, w.experts, w.shared);
  }
}

void Transformer::head(int n, std::span<float> logits) {
  for (int first = 0; first < n; first += kHeadRows) {
    const int n_rows = std::min(kHeadRows, n - first);
    const Projection out{w_.output, logits_.top(n_rows)};
    b_.project(x_.slice(first, n_rows), &w_.output_norm, {&out, 1});
    const std::size_t vocab = c_.vocab;
    b_.read(logits_.top(n_rows), logits.subspan(first * vocab, n_rows * vocab));
  }
}

}  // namespace corvid::model
