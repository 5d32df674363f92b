// A file mapped read-only into memory for as long as the object lives.
//
// Throws ModelError when the file cannot be opened, is not a regular file or is empty. Any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace corvid::model {

class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  // Gives back the memory of these bytes; they are read from the file again when they are needed.
  void let_go(std::span<const std::byte> part) const;

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace corvid::model
