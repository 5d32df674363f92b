// A GGUF v3 model: metadata and tensor directory of its file or files, validated once at open.
//
// A model may be split into files NAME-00001-of-0000N.gguf, of which the first has the metadata.
// Files are memory-mapped read-only (or a span of memory that outlives the object, for the
// built-in model). After open() every count, offset, size and string has been checked against the
// file, so readers need no further bounds checks. Immutable after construction; any thread may
// read it. Throws ModelError that names the key or tensor.
// Source: the GGUF specification (ggml project), version 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/files/quant.h"

namespace corvid::model {

// A tensor inside the file. ne[0] is the contiguous dimension (columns).
struct TensorView {
  std::string name;
  Type type = Type::f32;
  std::vector<std::int64_t> ne;
  const std::byte* data = nullptr;
  std::size_t bytes = 0;

  std::int64_t elements() const;
};

class GgufFile {
 public:
  // Integers and bools, floats, strings. Text points into the file.
  using Array =
      std::variant<std::vector<std::int64_t>, std::vector<double>, std::vector<std::string_view>>;
  using Value = std::variant<std::int64_t, double, std::string_view, Array>;  // u64 must fit in i64

  // Any part of a model that is split; ModelError names a part that is missing.
  static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);
  // `bytes` must outlive the object and be aligned to 64; `name` is used in messages.
  static std::shared_ptr<const GgufFile> from_memory(std::span<const std::byte> bytes,
                                                     std::string name);
  ~GgufFile();

  const std::string& name() const;  // path (of the first part), or the name given to from_memory
  std::size_t size_bytes() const;

  const Value* find(std::string_view key) const;
  // Typed reads: absent -> nullopt; present with another type or out of range -> ModelError.
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  // integers convert
  std::optional<std::string> string(std::string_view key) const;
  // nullptr when absent; ModelError when present with another type.
  const std::vector<std::int64_t>* integers(std::string_view key) const;
  const std::vector<std::string_view>* strings(std::string_view key) const;

  std::span<const TensorView> tensors() const;
  const TensorView* tensor(std::string_view name) const;  // nullptr when absent
  // The tensor will hardly be read again: its memory may go back to the system until it is.
  void let_go(const TensorView& tensor) const;

  // Identity of the weights and metadata: 128-bit hex (XXH3) over the header and samples of every
  // tensor. Equal files have equal fingerprints; used to tie KV snapshots and journals to a model.
  const std::string& fingerprint() const;

 private:
  struct Parts;
  explicit GgufFile(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace corvid::model
