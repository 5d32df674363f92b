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

bool Transformer::forward(const Batch& batch, std::span<Wanted> wanted, std::stop_token stop) {
  std::vector<int> rows;
  for (const Wanted& w : wanted) rows.push_back(w.row);
  const int n_rows = static_cast<int>(batch.tokens.size());
  rows_computed_ += n_rows;
  b_.begin(batch);
  b_.embed(w_.embedding, x_.top(n_rows));
  for (int i = 0; i < c_.layers; ++i) {
    if (stop.stop_requested()) return false;
    layer(i, n_rows, rows);
  }
  head(wanted);
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
  const KvRows stored{.layer = i,
                      .latent = kv_.top(n_rows),
                      .latent_norm = w.kv_a_norm,
                      .rope = w_.rope,
                      .index_key = sparse ? index_key_.top(n_rows) : Tensor{},
                      .index_norm = w.index_k_norm};
  b_.project(x_.top(n_rows), &w.attn_norm, keys);
  if (!all) {
    b_.store(stored);
    if (n == 0) return 0;
    b_.narrow(x_.top(n_rows), rows);
    b_.project(x_.top(n), &w.attn_norm, queries(n));
  }
  heads(i, n);
  if (all && sparse) b_.store_and_select(stored, index_query(i, n));
  if (all && !sparse) b_.store(stored);
  if (!all && sparse) b_.select(index_query(i, n));
  return n;
}

// The queries of all heads, where they come from a latent of their own.
void Transformer::heads(int i, int n) {
  if (c_.q_lora == 0) return;
  const LayerWeights& w = w_.layers[i];
  std::vector<Projection> heads = {{w.q_b, q_.top(n)}};
  if (c_.index_heads > 0) heads.push_back({w.index_q, index_q_.top(n)});
  b_.project(q_latent_.top(n), &w.q_a_norm, heads);
}

IndexQuery Transformer::index_query(int i, int n) const {
  const double values = static_cast<double>(c_.index_heads) * c_.index_width;
  return {.layer = i,
          .heads = c_.index_heads,
          .top_k = c_.index_top_k,
          .query = index_q_.top(n),
          .weights = index_weight_.top(n),
          .weight_scale = static_cast<float>(1 / std::sqrt(values)),
          .rope = w_.rope};
}

void Transformer::attention(int i, int n) {
  const LayerWeights& w = w_.layers[i];
  b_.attend({.layer = i,
             .query = q_.top(n),
             .k_b = w.k_b,
             .v_b = w.v_b,
             .rope = w_.rope,
             .scale = c_.attention_scale(),
             .selected = c_.index_heads > 0,
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

void Transformer::head(std::span<Wanted> wanted) {
  std::size_t first = 0;
  for (std::span<Wanted> left = wanted; !left.empty();) {
    // Neighbours that are all drawn from, or all read.
    const bool drawn = left[0].draw != nullptr;
    const auto end = std::ranges::find_if(left, [&](const Wanted& w) { return !w.draw == drawn; });
    const auto n = std::min<std::size_t>(kHeadRows, end - left.begin());
    const Tensor logits = logits_.top(static_cast<int>(n));
    const Projection out{w_.output, logits};
    b_.project(x_.slice(static_cast<int>(first), logits.rows), &w_.output_norm, {&out, 1});
    if (drawn) {
      draw(logits, static_cast<int>(first), left.first(n));
    } else {
      read(logits, left.first(n));
    }
    left = left.subspan(n);
    first += n;
  }
}

void Transformer::draw(const Tensor& logits, int first_row, std::span<Wanted> wanted) {
  std::vector<Draw> draws;
  for (const Wanted& w : wanted) draws.push_back(*w.draw);
  std::vector<Token> tokens(draws.size());
  b_.draw(logits, first_row, draws, tokens);
  for (std::size_t i = 0; i < tokens.size(); ++i) wanted[i].token = tokens[i];
}

void Transformer::read(const Tensor& logits, std::span<Wanted> wanted) {
  const std::size_t vocab = c_.vocab;
  std::vector<float> values(wanted.size() * vocab);
  b_.read(logits, values);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    wanted[i].logits.assign(values.begin() + i * vocab, values.begin() + (i + 1) * vocab);
  }
}

}  // namespace corvid::model
