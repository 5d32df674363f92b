#include "model/compute/cpu/packed_matrix.h"

#include <sys/mman.h>

#include <bit>
#include <cassert>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "model/compute/cpu/threads.h"
#include "model/error.h"

namespace corvid::model {
namespace {

std::size_t bytes_of_panel(const TensorView& tensor, Type type) {
  const std::size_t k = tensor.ne[0];
  if (is_quantized(type)) return panel_format(type).panel_bytes(tensor.ne[0]);
  switch (type) {
    case Type::f32:
      return k * kPanelRows * 4;
    case Type::f16:
    case Type::bf16:
      return k * kPanelRows * 2;
    default:
      throw ModelError("tensor '" + tensor.name + "' has type " +
                       std::string(traits(tensor.type).name) + ", which cannot be multiplied");
  }
}

template <std::size_t value_bytes>
void interleave(const std::byte* row, int columns, int r, std::byte* panel) {
  for (int k = 0; k < columns; ++k) {
    std::memcpy(panel + (static_cast<std::size_t>(k) * kPanelRows + r) * value_bytes,
                row + k * value_bytes, value_bytes);
  }
}

// A row of a panel's chunk, part of one block or more of the file.
class ChunkRow {
 public:
  ChunkRow(const PanelFormat& format, std::byte* chunk, int row)
      : f_(format), head_(chunk), row_(row) {}

  // The 32 columns that begin at `at` in the file's block become block b of the chunk.
  void put(const Block& in, int at, int b) {
    for (int i = 0; i < kBlock / f_.group; ++i) {
      put_scale(in, at / 16 + i * (f_.group / 16), b * (kBlock / f_.group) + i);
    }
    put_codes(in.codes + at, head_ + f_.head_bytes() + b * f_.block_bytes());
  }
  // A block of IQ2_XXS as it is in the file: indices and words.
  void put_codebook(const std::byte* block) {
    std::memcpy(head_ + 2 * row_, block, 2);
    for (int b = 0; b < kChunkBlocks; ++b) {
      std::byte* out = head_ + f_.head_bytes() + b * f_.block_bytes();
      for (int l = 0; l < 4; ++l) out[l * kPanelRows + row_] = block[2 + 8 * b + l];
      std::memcpy(out + kPlane + 4 * row_, block + 2 + 8 * b + 4, 4);
    }
  }

 private:
  void put_half(int i, float value) {
    const std::uint16_t half = f32_to_f16(value);
    std::memcpy(head_ + 2 * i, &half, 2);
  }
  void put_scale(const Block& in, int from, int to);
  void put_codes(const std::uint8_t* codes, std::byte* block) const;

  const PanelFormat& f_;
  std::byte* head_;
  int row_;
};

void ChunkRow::put_scale(const Block& in, int from, int to) {
  constexpr int kHalves = 2 * kPanelRows;
  const int i = to * kPanelRows + row_;
  const auto scale = static_cast<std::byte>(in.scales[from]);
  const auto minimum = static_cast<std::byte>(in.minimums[from]);
  switch (f_.scales) {
    case Scales::half:
      return put_half(i, in.scale);
    case Scales::half_and_minimum:
      put_half(i, in.scale);
      return put_half(f_.groups() * kPanelRows + i, in.minimum);
    case Scales::exponent:
      head_[i] = static_cast<std::byte>((std::bit_cast<std::uint32_t>(in.scale) >> 23) + 1);
      return;
    case Scales::integer:
      put_half(row_, in.scale);
      head_[kHalves + i] = scale;
      return;
    case Scales::with_minimum:
      put_half(row_, in.scale);
      put_half(kPanelRows + row_, in.minimum);
      head_[2 * kHalves + i] = scale;
      head_[2 * kHalves + f_.groups() * kPanelRows + i] = minimum;
      return;
    case Scales::nibbles:
      put_half(row_, in.scale);
      put_half(kPanelRows + row_, in.minimum);
      head_[2 * kHalves + i] = scale | minimum << 4;
      return;
    case Scales::codebook:
      return;
  }
}

void ChunkRow::put_codes(const std::uint8_t* codes, std::byte* block) const {
  std::uint32_t fours[8];
  std::memcpy(fours, codes, sizeof fours);
  const auto put = [&](std::uint32_t bytes) {
    std::memcpy(block + 4 * row_, &bytes, 4);
    block += kPlane;
  };
  const int bits = f_.code.bits;
  if (bits == 8) {
    for (std::uint32_t four : fours) put(four);
    return;
  }
  int shift = 0;
  if (bits >= 4) {
    for (int i = 0; i < 4; ++i) put((fours[i] & 0x0F0F0F0F) | (fours[i + 4] & 0x0F0F0F0F) << 4);
    shift = 4;
  }
  if (bits % 4 >= 2) {
    for (int i = 0; i < 8; i += 4) {
      std::uint32_t pairs = 0;
      for (int j = 0; j < 4; ++j) pairs |= (fours[i + j] >> shift & 0x03030303) << (2 * j);
      put(pairs);
    }
    shift += 2;
  }
  if (bits % 2 == 1) {
    std::uint32_t single = 0;
    for (int i = 0; i < 8; ++i) single |= (fours[i] >> shift & 0x01010101) << i;
    put(single);
  }
}

void interleave_blocks(Type type, const std::byte* row, int columns, int r, std::byte* panel) {
  const PanelFormat format = panel_format(type);
  const TypeTraits& t = traits(type);
  Block block;
  for (int k = 0; k < columns; k += t.block_elements, row += t.block_bytes) {
    ChunkRow chunk(format, panel + std::size_t(k / kChunk) * format.chunk_bytes(), r);
    if (type == Type::iq2_xxs) {
      chunk.put_codebook(row);
      continue;
    }
    read_block(type, row, block);
    for (int at = 0; at < t.block_elements; at += kBlock) {
      chunk.put(block, at, (k + at) % kChunk / kBlock);
    }
  }
}

}  // namespace

void* allocate_aligned(std::size_t bytes) {
  constexpr std::size_t kLine = 64, kLargePage = std::size_t{2} << 20;
  const std::size_t to = bytes < kLargePage ? kLine : kLargePage;
  void* const data = std::aligned_alloc(to, (bytes + to - 1) / to * to);
  if (!data) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Whole pages alone: memory behind the end would be taken for nothing.
  if (to == kLargePage) madvise(data, bytes / to * to, MADV_HUGEPAGE);
#endif
  return data;
}

PackedMatrix::PackedMatrix(const TensorView& tensor, Type type, Team& team)
    : type_(type),
      columns_(static_cast<int>(tensor.ne[0])),
      rows_(static_cast<int>(tensor.ne[1])),
      count_(tensor.ne.size() > 2 ? static_cast<int>(tensor.ne[2]) : 1),
      panels_((rows_ + kPanelRows - 1) / kPanelRows),
      panel_bytes_(bytes_of_panel(tensor, type)),
      data_(panel_bytes_ * panels_ * count_) {
  team.each(panels_ * count_, [&](int i, int) { pack_panel(tensor, i / panels_, i % panels_); });
}

void PackedMatrix::pack_panel(const TensorView& tensor, int matrix, int panel) {
  std::byte* out =
      data_.data() + (static_cast<std::size_t>(matrix) * panels_ + panel) * panel_bytes_;
  if ((panel + 1) * kPanelRows > rows_) std::memset(out, 0, panel_bytes_);
  const std::size_t in_bytes = row_bytes(tensor.type, columns_);
  assert(type_ == tensor.type || type_ == Type::f32);
  std::vector<float> converted(type_ == tensor.type ? 0 : columns_);
  for (int r = 0; r < kPanelRows && panel * kPanelRows + r < rows_; ++r) {
    const std::byte* row =
        tensor.data +
        (static_cast<std::size_t>(matrix) * rows_ + panel * kPanelRows + r) * in_bytes;
    if (type_ != tensor.type) {
      dequantize_row(tensor.type, row, converted);
      row = reinterpret_cast<const std::byte*>(converted.data());
    }
    if (type_ == Type::f32) {
      interleave<4>(row, columns_, r, out);
    } else if (type_ == Type::f16 || type_ == Type::bf16) {
      interleave<2>(row, columns_, r, out);
    } else {
      interleave_blocks(type_, row, columns_, r, out);
    }
  }
}

}  // namespace corvid::model
