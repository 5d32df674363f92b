// The operations that the transformer is written in, and the memory that they work on.
//
// A Backend owns whatever lives on a device: weights in the layout it computes from, activations,
// KV pages. The network names them by small handles that carry shape and type and are valid for the
// life of the backend that made them. A back end never knows the model; the model never knows the
// device: number formats of activations and caches, tilings, and whether attention runs absorbed or
// expanded are decided behind this line. An operation is coarse and fused; it may return before its
// work is done, operations take effect in the order of the calls, and read() waits for them.
// Calls come from one thread. Throws ModelError (no memory, device lost).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/chat.h"
#include "model/compute/draw.h"
#include "model/compute/traffic.h"
#include "model/files/gguf.h"

namespace corvid::model {

// What the model's file asks for. `exact`: everything is computed and cached in f32, as it is when
// all weights are F32; others are converted. `fast`: f16 latents, int8 index keys after a Hadamard
// rotation, int8 or bf16 activations. `fine`: the same with index keys in f32, for weights whose
// own rounding is below that of int8 keys, so that these would decide which tokens are selected.
enum class Precision { exact, fine, fast };

// Weights: `count` matrices (heads, experts) of `rows` x `columns`; y[rows] = W x[columns].
struct Matrix {
  int id = -1;
  Type type = Type::f32;  // in the file
  int columns = 0;
  int rows = 0;
  int count = 0;

  explicit operator bool() const { return id >= 0; }
};

// f32 [size]: norm weights and biases.
struct Vector {
  int id = -1;
  int size = 0;

  explicit operator bool() const { return id >= 0; }
};

// Activations: f32 [rows, width], a window on an allocation of the back end.
struct Tensor {
  int id = -1;
  int first = 0;  // row of the allocation
  int rows = 0;
  int width = 0;

  Tensor slice(int from, int n) const { return {id, first + from, n, width}; }
  Tensor top(int n) const { return slice(0, n); }
};

// Rotary embedding by given angles per position; covers 2 * frequencies.size() dimensions.
struct Rope {
  int id = -1;
  int dims = 0;
};
enum class RopePairs { interleaved, half_split };  // (2i, 2i+1) or (i, i + dims/2)

struct Norm {
  Vector weight;
  Vector bias;  // none: RMSNorm; present: LayerNorm
  float eps = 0;
};

// KV state is kept in pages that hold kPageTokens tokens of all layers.
inline constexpr int kPageTokens = 64;

struct KvShape {
  int layers = 0;
  int latent = 0;  // values of the compressed K/V of a token and layer
  int rope = 0;    // values of its rotated key, kept beside it
  int index = 0;   // values of its index key; 0: the model has no indexer
};

// Consecutive rows of a batch that continue one timeline. Row i is at position past_tokens + i;
// pages[p] holds positions [p * kPageTokens, (p + 1) * kPageTokens) and covers all rows.
struct Sequence {
  std::span<const int> pages;
  int past_tokens = 0;
  int n_rows = 0;
};

struct Batch {
  std::span<const Token> tokens;        // [n_rows]
  std::span<const Sequence> sequences;  // in the order of the rows
};

// y = W norm(x), or y += W norm(x).
struct Projection {
  Matrix weight;
  Tensor out;
  bool add = false;
};

// What a token leaves behind in a layer's cache.
struct KvRows {
  int layer = 0;
  Tensor latent;  // [n, latent + rope]: before norm (of the latent part) and rotation (of the rest)
  Norm latent_norm;
  Rope rope;         // interleaved
  Tensor index_key;  // [n, index], rotation covers the first rope.dims; only with an indexer
  Norm index_norm;
  RopePairs index_pairs = RopePairs::half_split;
};

// Scores every earlier token for every row, I = sum_h weight_h * relu(query_h . key), and keeps the
// best `top_k`; ties go to the lower position. Rows with at most top_k tokens keep all, unscored.
// Source: DeepSeek-V3.2 report, section 2.1 (lightning indexer).
struct IndexQuery {
  int layer = 0;
  int heads = 0;
  int top_k = 0;
  Tensor query;    // [n, heads * index], before rotation of the first rope.dims of each head
  Tensor weights;  // [n, heads], before scaling
  float weight_scale = 1;
  Rope rope;
  RopePairs pairs = RopePairs::half_split;
};

// Multi-head latent attention of the batch's rows over their own timelines, causal.
// Source: DeepSeek-V2 report, section 2.1 (MLA).
struct LatentAttention {
  int layer = 0;
  Tensor query;  // [n, heads * (nope + rope)], before rotation of the last rope.dims of each head
  Matrix k_b;    // per head [latent rows, nope columns]
  Matrix v_b;    // per head [value rows, latent columns]
  Rope rope;     // interleaved
  float scale = 0;
  bool selected = false;  // read only the tokens that the last select() of this layer kept
  Tensor out;             // [n, heads * value]
};

// Gated feed-forward: down(silu(gate x) * up x). Absent (all ids -1) where optional.
struct GatedFfn {
  Matrix gate, up, down;
};

enum class Gating { softmax, sigmoid };

struct Router {
  Matrix gate;  // [experts, d] f32
  Vector bias;  // added for the choice only; optional
  Gating gating = Gating::softmax;
  int used = 0;         // experts per token
  int groups = 1;       // experts are chosen from the best `groups_used` of these groups;
  int groups_used = 1;  // one scores by its best or, with a bias, by the sum of its two best
  bool normalise = false;
  float scale = 1;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string description() const = 0;  // "avx512, 2 threads"

  // --- Memory. Made while loading; lives as long as the backend. ---
  // 1 to 3 dimensions, ne[2] = count. The data may be dropped after the call.
  virtual Matrix add_matrix(const TensorView& tensor) = 0;
  // A layer's router, then its routed experts: gate, up and down. As a row uses but a few of them,
  // a back end may keep them elsewhere than what every row needs.
  virtual Matrix add_router(const TensorView& tensor) { return add_matrix(tensor); }
  virtual Matrix add_experts(const TensorView& tensor) { return add_matrix(tensor); }
  // Rows to look up by token. The data must outlive the backend; it may be used in place.
  virtual Matrix add_table(const TensorView& tensor) = 0;
  virtual Vector add_vector(const TensorView& tensor) = 0;
  virtual Tensor add_tensor(int rows, int width) = 0;
  virtual Rope add_rope(std::span<const double> frequencies) = 0;

  // --- Pages. Ids count from 0; page contents are undefined until rows are stored. ---
  virtual void set_kv_shape(const KvShape& shape) = 0;  // once
  virtual void reserve_pages(int n_pages) = 0;          // pages [0, n_pages) exist afterwards
  virtual void copy_page(int from, int to) = 0;
  // The first n tokens of a page, as bytes in cache_format(); all layers.
  virtual std::string cache_format() const = 0;  // names the layout; equal names exchange bytes
  virtual std::size_t page_bytes(int n_tokens) const = 0;
  virtual void read_page(int page, int n_tokens, std::byte* out) = 0;
  virtual void write_page(int page, int n_tokens, const std::byte* in) = 0;

  // --- Operations. x, q, ...: one row per row of the batch. ---
  virtual void begin(const Batch& batch) = 0;  // the spans stay valid until the next begin
  virtual void embed(const Matrix& table, const Tensor& x) = 0;
  // One input, several matrices. norm may be null: the rows as they are.
  virtual void project(const Tensor& x, const Norm* norm, std::span<const Projection> outs) = 0;
  virtual void store(const KvRows& rows) = 0;
  virtual void select(const IndexQuery& query) = 0;
  // Both, one after the other; a device may do them at once.
  virtual void store_and_select(const KvRows& rows, const IndexQuery& query) {
    store(rows);
    select(query);
  }
  virtual void attend(const LatentAttention& attention) = 0;
  // x += ffn(norm(x)).
  virtual void feed_forward(const Tensor& x, const Norm& norm, const GatedFfn& ffn) = 0;
  // x += sum of the chosen experts, weighted, + shared(norm(x)).
  virtual void mix_experts(const Tensor& x, const Norm& norm, const Router& router,
                           const GatedFfn& experts, const GatedFfn& shared) = 0;
  // Keeps only these rows (ascending) of x, moved to its top, and of the batch: operations until
  // the next begin() see no others.
  virtual void narrow(const Tensor& x, std::span<const int> rows) = 0;
  virtual void read(const Tensor& x, std::span<float> out) = 0;
  // out[i] = draw_token(row i of logits, draws[i]); a device's sums may round otherwise, so a draw
  // next to the border of two tokens may fall to the other. Waits, as read() does. The logits are
  // of the batch's rows from first_row on, with which nothing follows: a device may keep the tokens
  // where the next batch wants them.
  virtual void draw(const Tensor& logits, int first_row, std::span<const Draw> draws,
                    std::span<Token> out) = 0;

  // --- Measuring and tests. ---
  virtual Traffic traffic() const = 0;
  // Positions that the last select() kept for a row of the batch, ascending; empty: all.
  virtual std::vector<int> selection(int row) = 0;
};

}  // namespace corvid::model
