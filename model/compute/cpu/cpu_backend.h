// The CPU back end: weights in panels, one team of threads, kernels chosen at run time.
//
// Every operation is a few phases of independent pieces that the team shares out; the end of a
// phase is the only barrier. Sums over experts and over ranges of tokens are taken in one fixed
// order, so results depend neither on timing nor on what else is in the batch.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "model/compute/backend.h"
#include "model/compute/cpu/kernels.h"
#include "model/compute/cpu/kv_pages.h"
#include "model/compute/cpu/packed_matrix.h"
#include "model/compute/cpu/threads.h"

namespace corvid::model {

struct CpuOptions {
  int threads = 0;               // 0: one per core
  std::string kernels = "auto";  // see choose_kernels
  Precision precision = Precision::exact;
};

// Rows prepared for multiplication, as plain values, as codes, or both.
class InputRows {
 public:
  void shape(int rows, int columns, bool values, bool codes);
  bool has_codes() const { return with_codes_; }
  float* values(int row) const { return values_.data() + row * std::ptrdiff_t{columns_}; }
  // Codes of columns [at, at + n) of a row from its values; whole blocks.
  void encode(const Kernels& kernels, int row, int at, int n, const float* values) const;
  // The same, and what rounding took away from them as codes of row `rest`. Overwrites `values`.
  void encode_in_two(const Kernels& kernels, int row, int rest, int at, int n, float* values) const;
  // The rows from `row` on, columns from `at` on.
  Input input(int row = 0, int at = 0) const;

 private:
  int columns_ = 0, blocks_ = 0;
  bool with_codes_ = false;
  Aligned<float> values_;
  Aligned<std::int8_t> codes_;
  Aligned<InputBlock> block_data_;
};

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options);
  ~CpuBackend() override;

  std::string description() const override;
  Matrix add_matrix(const TensorView& tensor) override;
  Matrix add_table(const TensorView& tensor) override;
  Vector add_vector(const TensorView& tensor) override;
  Tensor add_tensor(int rows, int width) override;
  Rope add_rope(std::span<const double> frequencies) override;

  void set_kv_shape(const KvShape& shape) override;
  void reserve_pages(int n_pages) override { pages_.reserve(n_pages); }
  void copy_page(int from, int to) override { pages_.copy(from, to); }
  std::string cache_format() const override { return pages_.layout().format(); }
  std::size_t page_bytes(int n_tokens) const override { return pages_.layout().bytes(n_tokens); }
  void read_page(int page, int n_tokens, std::byte* out) override;
  void write_page(int page, int n_tokens, const std::byte* in) override;

  void begin(const Batch& batch) override;
  void embed(const Matrix& table, const Tensor& x) override;
  void project(const Tensor& x, const Norm* norm, std::span<const Projection> outs) override;
  void store(const KvRows& rows) override;
  void select(const IndexQuery& query) override;
  void attend(const LatentAttention& attention) override;
  void feed_forward(const Tensor& x, const Norm& norm, const GatedFfn& ffn) override;
  void mix_experts(const Tensor& x, const Norm& norm, const Router& router, const GatedFfn& experts,
                   const GatedFfn& shared) override;
  void narrow(const Tensor& x, std::span<const int> rows) override;
  void read(const Tensor& x, std::span<float> out) override;
  void draw(const Tensor& logits, int first_row, std::span<const Draw> draws,
            std::span<Token> out) override;
  // What another back end has computed.
  void write(const Tensor& x, std::span<const float> values);

  Traffic traffic() const override { return traffic_; }
  std::vector<int> selection(int row) override;

 private:
  struct Row {  // of the batch
    const int* pages;
    int position;
    int token;
    int rope_row;  // of the tables of angles
  };
  struct RowRange {  // of the batch
    int first, n;
  };
  struct Angles {  // of one Rope for every row of the batch
    std::vector<double> frequencies;
    Aligned<float> turns;  // [n_rows][pairs][2] cos, sin
  };
  struct Rows {
    Aligned<float> data;
    int stride = 0;  // width padded to whole panels
  };
  struct Table {
    const std::byte* data = nullptr;
    Type type = Type::f32;
    int columns = 0;
  };
  // Work on some of the experts' (or one dense network's) rows; see cpu_ffn.cpp.
  struct FfnJob {
    const GatedFfn* ffn;
    int expert;
    int first_pair, n_pairs;  // rows of `hidden_`
  };

  float* row(const Tensor& t, int i) const;
  int stride(const Tensor& t) const { return rows_of_[t.id].stride; }
  const PackedMatrix& packed(const Matrix& m) const { return matrices_[m.id]; }
  void turn(float* values, const Rope& rope, int row, RopePairs pairs) const;
  void normalize(const float* x, const Norm& norm, int n, float* out) const;
  void prepare(const Tensor& x, const Norm* norm, bool values, bool codes);
  void multiply(const PackedMatrix& m, int matrix, int panel, int n_panels, const Input& input,
                const int* rows, int n_rows, float* out, std::ptrdiff_t stride) const;
  void count(const PackedMatrix& m, int matrices, std::int64_t rows);

  void score_ranges(const IndexQuery& query, std::span<const int> rows);
  void score_rows(const IndexQuery& query, std::span<const int> rows);
  void choose(const IndexQuery& query, std::span<const int> rows, std::size_t stride);
  void score_page(const IndexQuery& query, int slot, const Row& row, int page, int next,
                  float* out) const;
  void prepare_index_query(const IndexQuery& query, int row, int slot);
  void multiply_in_two(const PackedMatrix& m, int matrix, const InputRows& in, int first, int at,
                       int n_rows, float* out, std::ptrdiff_t stride, float* scratch) const;
  void fold_queries(const LatentAttention& attention);
  void attend_tiles(const LatentAttention& attention);
  void expand_values(const LatentAttention& attention);
  void finish_sum(const LatentAttention& attention, int slot, int head);
  int tokens_of(const LatentAttention& attention, int row) const;
  std::size_t segment_scratch(int heads) const;
  void attend_segment(const LatentAttention& attention, int slot, int segment, int step, int thread,
                      float* state);
  int n_slots() const { return static_cast<int>(slots_.size()); }
  std::vector<RowRange> runs_of(const LatentAttention& attention) const;
  bool expanding_pays(const LatentAttention& attention, const RowRange& run) const;
  void attend_expanded(const LatentAttention& attention, const RowRange& run);
  void unfold_keys(const LatentAttention& attention);
  void turn_queries(const LatentAttention& attention, const RowRange& run);
  void mask_tile(const RowRange& run, int first, int tokens);
  void load_latents(const LatentAttention& attention, const Row& row, int first, int tokens);
  void expand_tile(const LatentAttention& attention, int tokens);
  void attend_block(const LatentAttention& attention, const RowRange& run, int first, int head,
                    int block, int thread);
  static void merge(int heads, int first, int end, std::size_t latent, const float* from,
                    float* to);

  void route(const Tensor& x, const Router& router);
  void run_ffn(const Tensor& x, std::span<const FfnJob> jobs);
  void gate_groups(const FfnJob& job, int group, int n_groups);
  void add_down(const Tensor& x, const FfnJob& job, int panel, int n_panels);

  Team team_;
  const Kernels& kernels_;
  Precision precision_;
  std::deque<PackedMatrix> matrices_;
  std::vector<Table> tables_;
  std::vector<Aligned<float>> vectors_;
  std::vector<Rows> rows_of_;
  std::vector<Angles> angles_;
  KvPages pages_;
  Traffic traffic_;

  std::vector<Row> batch_;

  // Scratch of the operation in progress.
  InputRows input_, hidden_;
  std::vector<Aligned<float>> scratch_;  // per thread
  // select: for each row that is scored, its query; for every row, what was kept.
  Aligned<float> index_query_, index_weights_, scores_;
  Aligned<std::int8_t> index_codes_;
  Aligned<std::int32_t> index_offsets_;
  std::vector<int> best_of_parts_;      // [row that is scored][part][top_k]
  std::vector<int> kept_, kept_count_;  // [row][top_k]; -1: all
  int kept_stride_ = 0;
  // attend, absorbed: queries, and per slot and segment of tokens the running softmax.
  std::vector<int> slots_;
  Aligned<float> absorbed_, states_;
  int segments_ = 1;
  // attend, expanded; see cpu_expanded.cpp.
  Aligned<float> unfolded_, queries_, latents_, expanded_keys_, expanded_values_, mask_;
  bool masked_ = false;
  std::vector<int> reads_;
  std::vector<char> wanted_;
  // mix_experts
  Aligned<float> router_logits_;
  std::vector<int> chosen_, pair_row_;  // [row][used]; [pair] row of x
  std::vector<float> chosen_weight_, pair_weight_;
};

}  // namespace corvid::model
