// A weight matrix as the CPU kernels read it: panels of 16 interleaved rows (see panels.h).
//
// Made once while loading, immutable afterwards. Rows beyond the last are zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "model/compute/cpu/kernels.h"
#include "model/files/gguf.h"

namespace corvid::model {

class Team;

// Memory that starts on a cache line; a large block gets pages as large as there are, so that what
// reads it from end to end seldom waits for an address to be translated.
void* allocate_aligned(std::size_t bytes);

// An array of such memory. Contents are undefined until written.
template <class T>
class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(std::size_t size)
      : data_(static_cast<T*>(allocate_aligned(size * sizeof(T) + 64))), size_(size) {}

  // At least `size` elements; contents are lost when it grows.
  void reserve(std::size_t size) {
    if (size > size_) *this = Aligned(size + size / 4);
  }
  T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t size_ = 0;
};

class PackedMatrix {
 public:
  // 2-D {columns, rows} or 3-D {columns, rows, count}, as it is or, of any type, converted to f32.
  PackedMatrix(const TensorView& tensor, Type type, Team& team);

  Type type() const { return type_; }
  int columns() const { return columns_; }
  int rows() const { return rows_; }
  int count() const { return count_; }
  int panels() const { return panels_; }  // of one of the `count` matrices
  std::size_t panel_bytes() const { return panel_bytes_; }
  const std::byte* panel(int matrix, int panel) const {
    return data_.data() + (static_cast<std::size_t>(matrix) * panels_ + panel) * panel_bytes_;
  }

 private:
  void pack_panel(const TensorView& tensor, int matrix, int panel);

  Type type_;
  int columns_ = 0, rows_ = 0, count_ = 0, panels_ = 0;
  std::size_t panel_bytes_ = 0;
  Aligned<std::byte> data_;
};

}  // namespace corvid::model
