// One file of a GGUF model: its keys and tensor directory, read once and checked against its bytes.
//
// A model is one such file or several (gguf.h). Throws ModelError that names the file and the key
// or tensor. Source: the GGUF specification (ggml project), version 3.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/files/gguf.h"
#include "model/files/mapped_file.h"

namespace corvid::model {

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>()(text);
  }
};

template <typename T>
using NameMap = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

struct GgufPart {
  std::string name;
  std::optional<MappedFile> mapping;  // absent for bytes in memory
  std::span<const std::byte> bytes;
  std::size_t header_bytes = 0;
  NameMap<GgufFile::Value> values;
  std::vector<TensorView> tensors;

  explicit GgufPart(const std::filesystem::path& path);
  GgufPart(std::span<const std::byte> bytes, std::string name);

  // A key that must be an integer from 0 to `most` where it is present.
  std::optional<std::int64_t> count(std::string_view key, std::int64_t most) const;
};

// For messages: a name out of the file, in quotes, harmless on a terminal.
std::string quoted_name(std::string_view name);

}  // namespace corvid::model
