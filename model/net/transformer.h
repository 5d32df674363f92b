// One forward pass of the DeepSeek family, written over backend.h.
//
// Owns the activations; config, weights and back end outlive it. One thread at a time.
// Source: DeepSeek-V2 (MLA), V3 (gating) and V3.2 (sparse attention) reports.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>

#include "model/compute/backend.h"
#include "model/net/config.h"
#include "model/net/weights.h"

namespace corvid::model {

class Transformer {
 public:
  Transformer(const Config& config, const Weights& weights, Backend& backend, int max_rows);

  // Computes the batch and writes the logits of `rows` (ascending) to `logits` [rows, vocab]. False
  // when `stop` was requested meanwhile; KV rows may then have been written, logits not.
  bool forward(const Batch& batch, std::span<const int> rows, std::span<float> logits,
               std::stop_token stop);

  std::int64_t rows_computed() const { return rows_computed_; }

 private:
  void layer(int i, int n_rows, std::span<const int> rows);
  int keys_and_queries(int i, int n_rows, std::span<const int> rows);
  void attention(int i, int n);
  void ffn(int i, int n_rows);
  void head(int n, std::span<float> logits);

  const Config& c_;
  const Weights& w_;
  Backend& b_;
  Tensor x_;                                   // [n, dim] the residual stream
  Tensor q_latent_;                            // [n, q_lora]
  Tensor q_;                                   // [n, heads * (nope + rope)]
  Tensor kv_;                                  // [n, kv_lora + rope]
  Tensor index_key_, index_q_, index_weight_;  // [n, width], [n, heads * width], [n, heads]
  Tensor attended_;                            // [n, heads * value]
  Tensor logits_;                              // [kHeadRows, vocab]
  std::int64_t rows_computed_ = 0;
};

}  // namespace corvid::model
