#include "model/compute/cpu/cpu_backend.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <thread>

#include "model/error.h"

namespace corvid::model {
namespace {

static_assert(kPageTokens == kPageKeys);

constexpr int kRowBlock = 64;  // rows whose input stays in the cache while panels pass by

int threads_or_cores(int threads) {
  return threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
}

int padded(int n, int to) {
  return (n + to - 1) / to * to;
}

}  // namespace

// --- InputRows ---------------------------------------------------------------------------------

void InputRows::shape(int rows, int columns, bool values, bool codes) {
  columns_ = columns;
  blocks_ = columns / kBlock;
  with_codes_ = codes;
  const std::size_t n = rows;
  if (values) values_.reserve(n * columns);
  if (!codes) return;
  codes_.reserve(n * columns);
  block_data_.reserve(n * blocks_);
}

void InputRows::encode(const Kernels& kernels, int row, int at, int n, const float* values) const {
  const std::ptrdiff_t block = row * std::ptrdiff_t{blocks_} + at / kBlock;
  kernels.quantize(values, n, codes_.data() + row * std::ptrdiff_t{columns_} + at,
                   block_data_.data() + block);
}

void InputRows::encode_in_two(const Kernels& kernels, int row, int rest, int at, int n,
                              float* values) const {
  encode(kernels, row, at, n, values);
  const Input coarse = input(row, at);
  for (int i = 0; i < n; ++i) values[i] -= coarse.blocks[i / kBlock].scale * coarse.codes[i];
  encode(kernels, rest, at, n, values);
}

Input InputRows::input(int row, int at) const {
  const std::ptrdiff_t value = row * std::ptrdiff_t{columns_} + at;
  const std::ptrdiff_t block = row * std::ptrdiff_t{blocks_} + at / kBlock;
  return {.values = values_.data() + value,
          .values_stride = columns_,
          .codes = codes_.data() + value,
          .codes_stride = columns_,
          .blocks = block_data_.data() + block,
          .blocks_stride = blocks_};
}

// --- Memory ------------------------------------------------------------------------------------

CpuBackend::CpuBackend(const CpuOptions& options)
    : team_(threads_or_cores(options.threads)),
      kernels_(choose_kernels(options.kernels)),
      precision_(options.precision),
      scratch_(team_.size()) {}

CpuBackend::~CpuBackend() = default;

std::string CpuBackend::description() const {
  const int threads = team_.size();
  return std::string(kernels_.name) + ", " + std::to_string(threads) +
         (threads == 1 ? " thread" : " threads");
}

Matrix CpuBackend::add_matrix(const TensorView& tensor) {
  const Type type = precision_ == Precision::exact ? Type::f32 : tensor.type;
  const PackedMatrix& m = matrices_.emplace_back(tensor, type, team_);
  return {static_cast<int>(matrices_.size()) - 1, tensor.type, m.columns(), m.rows(), m.count()};
}

Matrix CpuBackend::add_table(const TensorView& tensor) {
  const int columns = static_cast<int>(tensor.ne[0]);
  tables_.push_back({tensor.data, tensor.type, columns});
  return {static_cast<int>(tables_.size()) - 1, tensor.type, columns,
          static_cast<int>(tensor.ne[1]), 1};
}

Vector CpuBackend::add_vector(const TensorView& tensor) {
  const std::size_t n = tensor.elements();
  Aligned<float>& values = vectors_.emplace_back(n);
  dequantize_row(tensor.type, tensor.data, {values.data(), n});
  return {static_cast<int>(vectors_.size()) - 1, static_cast<int>(n)};
}

Tensor CpuBackend::add_tensor(int rows, int width) {
  Rows& made = rows_of_.emplace_back();
  made.stride = padded(width, kPanelRows);
  made.data = Aligned<float>(static_cast<std::size_t>(rows) * made.stride);
  return {static_cast<int>(rows_of_.size()) - 1, 0, rows, width};
}

Rope CpuBackend::add_rope(std::span<const double> frequencies) {
  angles_.push_back({{frequencies.begin(), frequencies.end()}, {}});
  return {static_cast<int>(angles_.size()) - 1, static_cast<int>(2 * frequencies.size())};
}

void CpuBackend::set_kv_shape(const KvShape& shape) {
  pages_ = KvPages(shape, precision_);
}

void CpuBackend::read_page(int page, int n_tokens, std::byte* out) {
  pages_.read(page, n_tokens, out);
}

void CpuBackend::write_page(int page, int n_tokens, const std::byte* in) {
  pages_.write(page, n_tokens, in);
}

float* CpuBackend::row(const Tensor& t, int i) const {
  const Rows& rows = rows_of_[t.id];
  return rows.data.data() + (t.first + i) * std::ptrdiff_t{rows.stride};
}

// --- Operations --------------------------------------------------------------------------------

void CpuBackend::begin(const Batch& batch) {
  batch_.clear();
  for (const Sequence& sequence : batch.sequences) {
    for (int i = 0; i < sequence.n_rows; ++i) {
      const int n = static_cast<int>(batch_.size());
      batch_.push_back({sequence.pages.data(), sequence.past_tokens + i, batch.tokens[n], n});
    }
  }
  assert(batch_.size() == batch.tokens.size());
  const int n_rows = static_cast<int>(batch_.size());
  for (Angles& angles : angles_) {
    const std::size_t pairs = angles.frequencies.size();
    angles.turns.reserve(n_rows * pairs * 2);
    team_.each((n_rows + 15) / 16, [&](int block, int) {
      for (int i = block * 16; i < std::min(n_rows, block * 16 + 16); ++i) {
        float* out = angles.turns.data() + i * pairs * 2;
        for (std::size_t pair = 0; pair < pairs; ++pair) {
          const double angle = batch_[i].position * angles.frequencies[pair];
          out[2 * pair] = static_cast<float>(std::cos(angle));
          out[2 * pair + 1] = static_cast<float>(std::sin(angle));
        }
      }
    });
  }
}

void CpuBackend::embed(const Matrix& table, const Tensor& x) {
  const Table& t = tables_[table.id];
  const std::size_t bytes = row_bytes(t.type, t.columns);
  for (int i = 0; i < x.rows; ++i) {
    dequantize_row(t.type, t.data + batch_[i].token * bytes,
                   {row(x, i), static_cast<std::size_t>(t.columns)});
  }
  traffic_.weight_bytes += x.rows * bytes;
}

// Rotates the first rope.dims of `values` to the position of a row of the batch.
void CpuBackend::turn(float* values, const Rope& rope, int row, RopePairs pairs) const {
  const int half = rope.dims / 2;
  const float* turns =
      angles_[rope.id].turns.data() + batch_[row].rope_row * std::ptrdiff_t{rope.dims};
  const int near = pairs == RopePairs::interleaved ? 2 : 1;
  const int far = pairs == RopePairs::interleaved ? 1 : half;
  for (int i = 0; i < half; ++i) {
    const float a = values[near * i], b = values[near * i + far];
    const float c = turns[2 * i], s = turns[2 * i + 1];
    values[near * i] = a * c - b * s;
    values[near * i + far] = a * s + b * c;
  }
}

void CpuBackend::normalize(const float* x, const Norm& norm, int n, float* out) const {
  assert(norm.weight.size == n);
  const float* weight = vectors_[norm.weight.id].data();
  if (!norm.bias) return kernels_.rms_norm(x, weight, n, norm.eps, out);
  const float* bias = vectors_[norm.bias.id].data();
  double mean = 0, variance = 0;
  for (int i = 0; i < n; ++i) mean += x[i];
  mean /= n;
  for (int i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
  const double factor = 1 / std::sqrt(variance / n + norm.eps);
  for (int i = 0; i < n; ++i) {
    out[i] = static_cast<float>((x[i] - mean) * factor) * weight[i] + bias[i];
  }
}

// Fills input_ with the rows of x, normalised.
void CpuBackend::prepare(const Tensor& x, const Norm* norm, bool values, bool codes) {
  input_.shape(x.rows, x.width, values, codes);
  constexpr int kRows = 4;
  team_.each((x.rows + kRows - 1) / kRows, [&](int piece, int thread) {
    Aligned<float>& scratch = scratch_[thread];
    scratch.reserve(x.width);
    for (int i = piece * kRows; i < std::min(x.rows, (piece + 1) * kRows); ++i) {
      const float* in = row(x, i);
      if (norm) {
        float* out = values ? input_.values(i) : scratch.data();
        normalize(in, *norm, x.width, out);
        in = out;
      } else if (values) {
        std::memcpy(input_.values(i), in, x.width * sizeof(float));
      }
      if (codes) input_.encode(kernels_, i, 0, x.width, in);
    }
  });
}

// Panels [panel, panel + n_panels) of one matrix; out column 0 belongs to the first of them.
void CpuBackend::multiply(const PackedMatrix& m, int matrix, int panel, int n_panels,
                          const Input& input, const int* rows, int n_rows, float* out,
                          std::ptrdiff_t stride) const {
  const Multiply kernel = kernels_.multiply[static_cast<int>(m.type())];
  for (int p = 0; p < n_panels; p += kMaxPanels) {
    const int n = std::min(kMaxPanels, n_panels - p);
    const std::byte* panels[kMaxPanels];
    for (int i = 0; i < n; ++i) panels[i] = m.panel(matrix, panel + p + i);
    kernel(panels, n, m.columns(), input, rows, n_rows, out + p * kPanelRows, stride);
  }
}

void CpuBackend::count(const PackedMatrix& m, int matrices, std::int64_t rows) {
  traffic_.weight_bytes += static_cast<std::int64_t>(m.panel_bytes()) * m.panels() * matrices;
  traffic_.operations += 2 * rows * m.columns() * m.rows();
}

void CpuBackend::project(const Tensor& x, const Norm* norm, std::span<const Projection> outs) {
  struct Piece {
    const Projection* projection;
    int panel, n_panels;
  };
  bool values = false, codes = false;
  int panels = 0;
  for (const Projection& out : outs) {
    const PackedMatrix& m = packed(out.weight);
    assert(out.weight.columns == x.width && out.weight.rows == out.out.width);
    (is_quantized(m.type()) ? codes : values) = true;
    panels += m.panels();
    count(m, 1, x.rows);
  }
  prepare(x, norm, values, codes);

  const int grain = std::clamp(panels / (team_.size() * 8) / 2 * 2, 2, 8);
  Pieces cut =
      x.rows <= kFewRows ? Pieces::shrinking(panels, team_.size(), 2) : Pieces::even(grain);
  std::vector<Piece> pieces;
  for (const Projection& out : outs) {
    const int n = packed(out.weight).panels();
    for (int p = 0; p < n; p += pieces.back().n_panels) {
      pieces.push_back({&out, p, cut.next(n - p)});
    }
  }
  const auto block = [&](const Piece& piece, int first) {
    const Projection& out = *piece.projection;
    const int n_rows = std::min(kRowBlock, x.rows - first);
    float* to = row(out.out, first) + piece.panel * kPanelRows;
    if (!out.add) {
      multiply(packed(out.weight), 0, piece.panel, piece.n_panels, input_.input(first), nullptr,
               n_rows, to, stride(out.out));
      return;
    }
    float tile[kRowBlock * 8 * kPanelRows];
    const int at_once = kRowBlock * 8 / n_rows;
    for (int p = 0; p < piece.n_panels; p += at_once, to += at_once * kPanelRows) {
      const int n = std::min(at_once, piece.n_panels - p), width = n * kPanelRows;
      multiply(packed(out.weight), 0, piece.panel + p, n, input_.input(first), nullptr, n_rows,
               tile, width);
      for (int r = 0; r < n_rows; ++r) {
        float* sum = to + r * std::ptrdiff_t{stride(out.out)};
        for (int c = 0; c < width; ++c) sum[c] += tile[r * width + c];
      }
    }
  };
  // The panels of a piece stay in the cache while all rows pass by, unless pieces are too few.
  const int blocks = (x.rows + kRowBlock - 1) / kRowBlock;
  const int n_pieces = static_cast<int>(pieces.size());
  const int shares = n_pieces >= 4 * team_.size() ? 1 : blocks;
  team_.each(n_pieces * shares, [&](int i, int) {
    const int share = i % shares;
    for (int b = share * blocks / shares; b < (share + 1) * blocks / shares; ++b) {
      block(pieces[i / shares], b * kRowBlock);
    }
  });
}

void CpuBackend::narrow(const Tensor& x, std::span<const int> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] == static_cast<int>(i)) continue;
    std::memcpy(row(x, static_cast<int>(i)), row(x, rows[i]), x.width * sizeof(float));
    batch_[i] = batch_[rows[i]];
  }
  batch_.resize(rows.size());
}

void CpuBackend::read(const Tensor& x, std::span<float> out) {
  assert(out.size() == static_cast<std::size_t>(x.rows) * x.width);
  for (int i = 0; i < x.rows; ++i) {
    std::memcpy(out.data() + static_cast<std::size_t>(i) * x.width, row(x, i),
                x.width * sizeof(float));
  }
}

void CpuBackend::write(const Tensor& x, std::span<const float> values) {
  assert(values.size() == static_cast<std::size_t>(x.rows) * x.width);
  for (int i = 0; i < x.rows; ++i) {
    std::memcpy(row(x, i), values.data() + static_cast<std::size_t>(i) * x.width,
                x.width * sizeof(float));
  }
}

void CpuBackend::draw(const Tensor& logits, int /*first_row*/, std::span<const Draw> draws,
                      std::span<Token> out) {
  assert(draws.size() == out.size() && draws.size() <= static_cast<std::size_t>(logits.rows));
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const float* values = row(logits, static_cast<int>(i));
    out[i] = draw_token({values, static_cast<std::size_t>(logits.width)}, draws[i]);
  }
}

}  // namespace corvid::model
