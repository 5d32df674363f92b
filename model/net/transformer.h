// One forward pass of the DeepSeek family, written over backend.h.
//
// Owns the activations; config, weights and back end outlive it. One thread at a time.
// Source: DeepSeek-V2 (MLA), V3 (gating) and V3.2 (sparse attention) reports.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "model/compute/backend.h"
#include "model/net/config.h"
#include "model/net/weights.h"

namespace corvid::model {

// A row of the batch and what it gives: its logits, or the token drawn from them.
struct Wanted {
  int row = 0;
  const Draw* draw = nullptr;
  std::vector<float> logits;  // [vocab]; empty with a draw
  Token token = -1;
};

class Transformer {
 public:
  Transformer(const Config& config, const Weights& weights, Backend& backend, int max_rows);

  // Computes the batch and fills in what is wanted (rows ascending). False when `stop` was
  // requested meanwhile; KV rows may then have been written, results not.
  bool forward(const Batch& batch, std::span<Wanted> wanted, std::stop_token stop);

  std::int64_t rows_computed() const { return rows_computed_; }

 private:
  void layer(int i, int n_rows, std::span<const int> rows);
  int keys_and_queries(int i, int n_rows, std::span<const int> rows);
  void heads(int i, int n);
  IndexQuery index_query(int i, int n) const;
  void attention(int i, int n);
  void ffn(int i, int n_rows);
  void head(std::span<Wanted> wanted);
  void draw(const Tensor& logits, int first_row, std::span<Wanted> wanted);
  void read(const Tensor& logits, std::span<Wanted> wanted);

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
