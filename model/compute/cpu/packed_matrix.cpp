#include "model/compute/cpu/packed_matrix.h"

#include <cassert>
#include <cstring>
#include <string>

#include "model/compute/cpu/threads.h"
#include "model/error.h"

namespace corvid::model {
namespace {

constexpr std::size_t kScaleBytes = 2 * kPanelRows;
constexpr std::size_t kQ8Block = 2 + kBlock;  // in the file: f16 scale, 32 codes

Layout layout_of(const TensorView& tensor) {
  switch (tensor.type) {
    case Type::f32:
      return Layout::f32;
    case Type::f16:
      return Layout::f16;
    case Type::bf16:
      return Layout::bf16;
    case Type::q8_0:
      return Layout::q8;
    default:
      break;
  }
  throw ModelError("tensor '" + tensor.name + "' has type " +
                   std::string(traits(tensor.type).name) + ", which cannot be multiplied");
}

std::size_t bytes_of(Layout layout, int columns) {
  const std::size_t k = columns;
  switch (layout) {
    case Layout::f32:
      return k * kPanelRows * 4;
    case Layout::f16:
    case Layout::bf16:
      return k * kPanelRows * 2;
    case Layout::q8:
      return k / kBlock * (kScaleBytes + kBlock * kPanelRows);
  }
  return 0;
}

template <std::size_t value_bytes>
void interleave(const std::byte* row, int columns, int r, std::byte* panel) {
  for (int k = 0; k < columns; ++k) {
    std::memcpy(panel + (static_cast<std::size_t>(k) * kPanelRows + r) * value_bytes,
                row + k * value_bytes, value_bytes);
  }
}

void interleave_q8(const std::byte* row, int columns, int r, std::byte* panel) {
  for (int b = 0; b < columns / kBlock; ++b, row += kQ8Block) {
    std::byte* block = panel + b * (kScaleBytes + kBlock * kPanelRows);
    std::memcpy(block + 2 * r, row, 2);
    std::byte* codes = block + kScaleBytes + 4 * r;
    for (int j = 0; j < kBlock; j += 4) {
      std::uint32_t four;
      std::memcpy(&four, row + 2 + j, 4);
      four ^= 0x80808080;  // i8 to u8 code + 128
      std::memcpy(codes + static_cast<std::size_t>(j) * kPanelRows, &four, 4);
    }
  }
}

}  // namespace

PackedMatrix::PackedMatrix(const TensorView& tensor, Team& team)
    : layout_(layout_of(tensor)),
      columns_(static_cast<int>(tensor.ne[0])),
      rows_(static_cast<int>(tensor.ne[1])),
      count_(tensor.ne.size() > 2 ? static_cast<int>(tensor.ne[2]) : 1),
      panels_((rows_ + kPanelRows - 1) / kPanelRows),
      panel_bytes_(bytes_of(layout_, columns_)),
      data_(panel_bytes_ * panels_ * count_) {
  team.each(panels_ * count_, [&](int i, int) { pack_panel(tensor, i / panels_, i % panels_); });
}

void PackedMatrix::pack_panel(const TensorView& tensor, int matrix, int panel) {
  std::byte* out =
      data_.data() + (static_cast<std::size_t>(matrix) * panels_ + panel) * panel_bytes_;
  if ((panel + 1) * kPanelRows > rows_) std::memset(out, 0, panel_bytes_);
  const std::size_t in_bytes = row_bytes(tensor.type, columns_);
  for (int r = 0; r < kPanelRows && panel * kPanelRows + r < rows_; ++r) {
    const std::byte* row =
        tensor.data +
        (static_cast<std::size_t>(matrix) * rows_ + panel * kPanelRows + r) * in_bytes;
    switch (layout_) {
      case Layout::f32:
        interleave<4>(row, columns_, r, out);
        break;
      case Layout::f16:
      case Layout::bf16:
        interleave<2>(row, columns_, r, out);
        break;
      case Layout::q8:
        interleave_q8(row, columns_, r, out);
        break;
    }
  }
}

}  // namespace corvid::model
