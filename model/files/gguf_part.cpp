#include "model/files/gguf_part.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_set>

#include "model/error.h"

namespace corvid::model {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place");

// Limits on what a sane file holds; the counts are also held against the bytes that are left.
constexpr std::uint64_t kMaxKeys = 1 << 16;
constexpr std::uint64_t kMaxTensors = 1 << 18;
constexpr std::uint64_t kMaxKeyBytes = 256;
constexpr std::uint64_t kMaxTensorNameBytes = 64;
constexpr std::uint64_t kMaxArrayElements = 1 << 24;
constexpr std::uint32_t kMaxDimensions = 4;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kMaxAlignment = 1 << 20;

// Value types of the format, in its order.
enum Kind : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

constexpr std::size_t kKindBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};  // at least

// Reads the header front to back; every read is checked against the end of the file.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  template <typename T>
  T take(std::string_view what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  std::string_view take_text(std::string_view what,
                             std::uint64_t limit = std::numeric_limits<std::uint32_t>::max()) {
    const auto size = take<std::uint64_t>(what);
    if (size > limit) fail(std::string(what) + " is " + std::to_string(size) + " bytes long");
    need(size, what);
    const auto* start = reinterpret_cast<const char*>(bytes_.data() + at_);
    at_ += size;
    return {start, static_cast<std::size_t>(size)};
  }

  std::size_t at() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }

  [[noreturn]] void fail(const std::string& problem) const {
    throw ModelError(file_ + ": not a usable GGUF file: " + problem);
  }

 private:
  void need(std::uint64_t size, std::string_view what) const {
    if (size > left()) fail("it ends inside " + std::string(what) + "; is the download complete?");
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
  std::size_t at_ = 0;
};

std::int64_t take_integer(Cursor& in, std::uint32_t kind, const std::string& what) {
  switch (kind) {
    case u8:
      return in.take<std::uint8_t>(what);
    case i8:
      return in.take<std::int8_t>(what);
    case u16:
      return in.take<std::uint16_t>(what);
    case i16:
      return in.take<std::int16_t>(what);
    case u32:
      return in.take<std::uint32_t>(what);
    case i32:
      return in.take<std::int32_t>(what);
    case i64:
      return in.take<std::int64_t>(what);
    case boolean: {
      const auto value = in.take<std::uint8_t>(what);
      if (value > 1) in.fail(what + " is a bool of value " + std::to_string(value));
      return value;
    }
    case u64: {
      const auto value = in.take<std::uint64_t>(what);
      if (value >> 63) in.fail(what + " is out of range");
      return static_cast<std::int64_t>(value);
    }
  }
  in.fail(what + " has the unknown value type " + std::to_string(kind));
}

bool is_float(std::uint32_t kind) {
  return kind == f32 || kind == f64;
}

double take_float(Cursor& in, std::uint32_t kind, const std::string& what) {
  return kind == f32 ? in.take<float>(what) : in.take<double>(what);
}

GgufFile::Array take_array(Cursor& in, const std::string& what) {
  const auto kind = in.take<std::uint32_t>(what);
  const auto count = in.take<std::uint64_t>(what);
  if (kind == array) in.fail(what + " is an array of arrays");
  if (kind > f64) in.fail(what + " has the unknown element type " + std::to_string(kind));
  if (count > kMaxArrayElements || count > in.left() / kKindBytes[kind]) {
    in.fail(what + " claims " + std::to_string(count) + " elements");
  }
  const auto fill = [count](auto values, auto take) {
    values.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) values.push_back(take());
    return values;
  };
  if (kind == text) {
    return fill(std::vector<std::string_view>(), [&] { return in.take_text(what); });
  }
  if (is_float(kind)) {
    return fill(std::vector<double>(), [&] { return take_float(in, kind, what); });
  }
  return fill(std::vector<std::int64_t>(), [&] { return take_integer(in, kind, what); });
}

GgufFile::Value take_value(Cursor& in, const std::string& what) {
  const auto kind = in.take<std::uint32_t>(what);
  if (kind == text) return in.take_text(what);
  if (kind == array) return take_array(in, what);
  if (is_float(kind)) return take_float(in, kind, what);
  return take_integer(in, kind, what);
}

// A tensor's entry in the directory; where its bytes lie is known only after the last one.
struct TensorEntry {
  TensorView view;
  std::uint64_t offset = 0;
};

TensorEntry take_tensor(Cursor& in) {
  TensorEntry entry;
  TensorView& view = entry.view;
  view.name = in.take_text("a tensor's name", kMaxTensorNameBytes);
  const std::string what = "tensor " + quoted_name(view.name);
  const auto n_dims = in.take<std::uint32_t>(what);
  if (n_dims < 1 || n_dims > kMaxDimensions) {
    in.fail(what + " has " + std::to_string(n_dims) + " dimensions");
  }
  std::int64_t elements = 1;
  for (std::uint32_t i = 0; i < n_dims; ++i) {
    const auto n = in.take<std::int64_t>(what);
    if (n < 1 || __builtin_mul_overflow(elements, n, &elements)) {
      in.fail(what + " has an impossible shape");
    }
    view.ne.push_back(n);
  }
  const auto id = in.take<std::uint32_t>(what);
  entry.offset = in.take<std::uint64_t>(what);
  const std::optional<Type> type = type_from_ggml(id);
  if (!type) {
    in.fail(what + " has type " + std::to_string(id) + " (" + std::string(ggml_type_name(id)) +
            "), which Corvid does not support; use a file with another quantisation");
  }
  view.type = *type;
  const TypeTraits& t = traits(*type);
  if (view.ne[0] % t.block_elements != 0) {
    in.fail(what + ": rows of " + std::to_string(view.ne[0]) + " are not whole blocks of " +
            std::string(t.name));
  }
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / t.block_elements, t.block_bytes, &bytes)) {
    in.fail(what + " has an impossible shape");
  }
  view.bytes = static_cast<std::size_t>(bytes);
  return entry;
}

// Reads a part's bytes into it.
class Reader {
 public:
  explicit Reader(GgufPart& part) : part_(part) {}
  void read();

 private:
  std::uint64_t alignment(const Cursor& in) const;
  void place(std::vector<TensorEntry> entries, const Cursor& in);
  void check_overlap(const Cursor& in) const;

  GgufPart& part_;
};

void Reader::read() {
  Cursor in(part_.bytes, part_.name);
  if (in.take<std::uint32_t>("the magic number") != 0x46554747)
    in.fail("it does not begin with GGUF");
  const auto version = in.take<std::uint32_t>("the version");
  if (version != 2 && version != 3) {
    in.fail("version " + std::to_string(version) + "; versions 2 and 3, little-endian, are read");
  }
  const auto n_tensors = in.take<std::uint64_t>("the number of tensors");
  const auto n_keys = in.take<std::uint64_t>("the number of keys");
  if (n_tensors > kMaxTensors || n_tensors > in.left() / 32) {
    in.fail("it claims " + std::to_string(n_tensors) + " tensors");
  }
  if (n_keys > kMaxKeys || n_keys > in.left() / 13) {
    in.fail("it claims " + std::to_string(n_keys) + " keys");
  }
  for (std::uint64_t i = 0; i < n_keys; ++i) {
    const std::string key(in.take_text("a key", kMaxKeyBytes));
    GgufFile::Value value = take_value(in, "key " + quoted_name(key));
    if (!part_.values.emplace(key, std::move(value)).second)
      in.fail("key " + quoted_name(key) + " is there twice");
  }
  std::vector<TensorEntry> entries;
  entries.reserve(n_tensors);
  for (std::uint64_t i = 0; i < n_tensors; ++i) entries.push_back(take_tensor(in));
  place(std::move(entries), in);
}

std::uint64_t Reader::alignment(const Cursor& in) const {
  const auto found = part_.values.find("general.alignment");
  if (found == part_.values.end()) return kDefaultAlignment;
  const auto* value = std::get_if<std::int64_t>(&found->second);
  if (!value || *value < 8 || *value > static_cast<std::int64_t>(kMaxAlignment) ||
      !std::has_single_bit(static_cast<std::uint64_t>(*value))) {
    in.fail("general.alignment is not a power of two from 8 up");
  }
  return static_cast<std::uint64_t>(*value);
}

// Turns offsets into addresses, each checked against the file.
void Reader::place(std::vector<TensorEntry> entries, const Cursor& in) {
  const std::uint64_t align = alignment(in);
  part_.header_bytes = in.at();
  const std::uint64_t blob = (in.at() + align - 1) / align * align;
  const std::uint64_t blob_bytes = blob < part_.bytes.size() ? part_.bytes.size() - blob : 0;
  part_.tensors.reserve(entries.size());
  std::unordered_set<std::string> names;
  for (TensorEntry& entry : entries) {
    TensorView& view = entry.view;
    const std::string what = "tensor " + quoted_name(view.name);
    if (entry.offset % align != 0) in.fail(what + " is not aligned");
    if (entry.offset > blob_bytes || view.bytes > blob_bytes - entry.offset) {
      in.fail(what + " lies beyond the end of the file; is the download complete?");
    }
    view.data = part_.bytes.data() + blob + entry.offset;
    if (!names.insert(view.name).second) in.fail(what + " is there twice");
    part_.tensors.push_back(std::move(view));
  }
  check_overlap(in);
}

void Reader::check_overlap(const Cursor& in) const {
  std::vector<const TensorView*> by_place;
  for (const TensorView& view : part_.tensors) by_place.push_back(&view);
  std::sort(by_place.begin(), by_place.end(),
            [](const TensorView* a, const TensorView* b) { return a->data < b->data; });
  for (std::size_t i = 1; i < by_place.size(); ++i) {
    if (by_place[i - 1]->data + by_place[i - 1]->bytes > by_place[i]->data) {
      in.fail("tensors " + quoted_name(by_place[i - 1]->name) + " and " +
              quoted_name(by_place[i]->name) + " overlap");
    }
  }
}

}  // namespace

GgufPart::GgufPart(const std::filesystem::path& path)
    : name(path.string()), mapping(path), bytes(mapping->bytes()) {
  Reader(*this).read();
}

GgufPart::GgufPart(std::span<const std::byte> memory, std::string name_in_messages)
    : name(std::move(name_in_messages)), bytes(memory) {
  Reader(*this).read();
}

std::optional<std::int64_t> GgufPart::count(std::string_view key, std::int64_t most) const {
  const auto found = values.find(key);
  if (found == values.end()) return std::nullopt;
  const auto* value = std::get_if<std::int64_t>(&found->second);
  if (!value || *value < 0 || *value > most) {
    throw ModelError(name + ": key " + quoted_name(key) + " is not a number from 0 to " +
                     std::to_string(most));
  }
  return *value;
}

std::string quoted_name(std::string_view name) {
  std::string out = "'";
  for (unsigned char c : name.substr(0, 80))
    out += c < 0x20 || c >= 0x7F ? '?' : static_cast<char>(c);
  return out + "'";
}

}  // namespace corvid::model
