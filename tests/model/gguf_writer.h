// Writes GGUF files in memory for tests: well-formed ones, and the parts to build broken ones from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/files/gguf.h"

namespace corvid::model::testing {

class GgufWriter {
 public:
  enum Kind : std::uint32_t { kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9 };

  GgufWriter& u32(std::string_view key, std::uint32_t value) { return scalar(key, kU32, value); }
  GgufWriter& f32(std::string_view key, float value) { return scalar(key, kF32, value); }
  GgufWriter& boolean(std::string_view key, bool value) {
    return scalar(key, kBool, static_cast<std::uint8_t>(value));
  }
  GgufWriter& text(std::string_view key, std::string_view value) {
    start(key, kString);
    put_text(keys_, value);
    return *this;
  }
  GgufWriter& texts(std::string_view key, const std::vector<std::string>& values) {
    start(key, kArray);
    put(keys_, static_cast<std::uint32_t>(kString));
    put(keys_, static_cast<std::uint64_t>(values.size()));
    for (const std::string& value : values) put_text(keys_, value);
    return *this;
  }
  GgufWriter& i32s(std::string_view key, const std::vector<std::int32_t>& values) {
    start(key, kArray);
    put(keys_, static_cast<std::uint32_t>(kI32));
    put(keys_, static_cast<std::uint64_t>(values.size()));
    for (std::int32_t value : values) put(keys_, value);
    return *this;
  }
  // A value of any kind, already encoded.
  GgufWriter& raw(std::string_view key, std::uint32_t kind, std::string_view bytes) {
    start(key, kind);
    keys_ += bytes;
    return *this;
  }

  GgufWriter& tensor(std::string_view name, Type type, std::vector<std::int64_t> ne,
                     std::span<const float> f32_values) {
    return raw_tensor(name, static_cast<std::uint32_t>(type), ne,
                      {reinterpret_cast<const char*>(f32_values.data()), f32_values.size_bytes()});
  }
  GgufWriter& raw_tensor(std::string_view name, std::uint32_t type,
                         const std::vector<std::int64_t>& ne, std::string_view data) {
    raw_entry(name, type, ne, blob_.size());
    blob_ += data;
    blob_.resize((blob_.size() + 31) / 32 * 32);
    return *this;
  }
  // A directory entry alone, with any offset.
  GgufWriter& raw_entry(std::string_view name, std::uint32_t type,
                        const std::vector<std::int64_t>& ne, std::uint64_t offset) {
    ++n_tensors_;
    put_text(entries_, name);
    put(entries_, static_cast<std::uint32_t>(ne.size()));
    for (std::int64_t n : ne) put(entries_, n);
    put(entries_, type);
    put(entries_, offset);
    return *this;
  }

  std::string bytes(std::uint32_t version = 3) const {
    std::string out = "GGUF";
    put(out, version);
    put(out, n_tensors_);
    put(out, n_keys_);
    out += keys_ + entries_;
    out.resize((out.size() + 31) / 32 * 32);
    return out + blob_;
  }

  template <typename T>
  static void put(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static void put_text(std::string& out, std::string_view value) {
    put(out, static_cast<std::uint64_t>(value.size()));
    out += value;
  }

 private:
  template <typename T>
  GgufWriter& scalar(std::string_view key, std::uint32_t kind, T value) {
    start(key, kind);
    put(keys_, value);
    return *this;
  }
  void start(std::string_view key, std::uint32_t kind) {
    ++n_keys_;
    put_text(keys_, key);
    put(keys_, kind);
  }

  std::uint64_t n_keys_ = 0;
  std::uint64_t n_tensors_ = 0;
  std::string keys_;
  std::string entries_;
  std::string blob_;
};

// A file read from a copy of `bytes` that lives as long as the returned pointer.
inline std::shared_ptr<const GgufFile> gguf_from(std::string_view bytes) {
  struct Held {
    explicit Held(std::string_view from)
        : size(from.size()), data(new (std::align_val_t{64}) std::byte[from.size() + 1]) {
      std::memcpy(data, from.data(), size);
    }
    ~Held() { ::operator delete[](data, std::align_val_t{64}); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    std::size_t size;
    std::byte* data;
    std::shared_ptr<const GgufFile> file;
  };
  auto held = std::make_shared<Held>(bytes);
  held->file = GgufFile::from_memory({held->data, held->size}, "test.gguf");
  return {held, held->file.get()};
}

// Where a name begins in a file that states its length before it; npos when it is not there.
inline std::size_t place_of(const std::string& bytes, std::string_view name) {
  std::string entry;
  GgufWriter::put_text(entry, name);
  const std::size_t at = bytes.find(entry);
  return at == bytes.npos ? at : at + sizeof(std::uint64_t);
}

// Changes a key that is there; its value follows its type.
inline void set_u32(std::string& bytes, std::string_view key, std::uint32_t value) {
  std::memcpy(bytes.data() + place_of(bytes, key) + key.size() + 4, &value, sizeof value);
}

}  // namespace corvid::model::testing
