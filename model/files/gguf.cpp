#include "model/files/gguf.h"

#include <xxhash.h>

#include <cassert>
#include <cstdio>
#include <mutex>

#include "model/error.h"
#include "model/files/gguf_part.h"

namespace corvid::model {
namespace {

constexpr std::int64_t kMaxParts = 9999;

// The place of a part in a set of files "NAME-00001-of-00003.gguf", counted from 0.
struct PartName {
  std::filesystem::path folder;
  std::string stem;
  std::int64_t index = 0, count = 0;

  std::filesystem::path path(std::int64_t part) const {
    char suffix[32];
    std::snprintf(suffix, sizeof suffix, "-%05d-of-%05d.gguf", static_cast<int>(part + 1),
                  static_cast<int>(count));
    return folder / (stem + suffix);
  }
};

std::optional<PartName> part_name(const std::filesystem::path& path) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  const std::string name = path.filename().string();
  if (name.size() <= kPattern.size()) return std::nullopt;
  const std::string suffix = name.substr(name.size() - kPattern.size());
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    const bool digit = suffix[i] >= '0' && suffix[i] <= '9';
    if (kPattern[i] == '0' ? !digit : suffix[i] != kPattern[i]) return std::nullopt;
  }
  return PartName{path.parent_path(), name.substr(0, name.size() - kPattern.size()),
                  std::stoi(suffix.substr(1, 5)) - 1, std::stoi(suffix.substr(10, 5))};
}

std::string place(std::int64_t index, std::int64_t count) {
  return "part " + std::to_string(index + 1) + " of " + std::to_string(count);
}

// What a part says of itself; a file that is whole has a count of 1.
std::int64_t parts_in_all(const GgufPart& part) {
  return std::max<std::int64_t>(1, part.count("split.count", kMaxParts).value_or(1));
}

}  // namespace

struct GgufFile::Parts {
  std::vector<std::unique_ptr<GgufPart>> files;  // the first one has the model's keys
  std::vector<TensorView> tensors;
  NameMap<std::size_t> tensor_index;

  mutable std::once_flag fingerprint_once;
  mutable std::string fingerprint;

  void add(std::unique_ptr<GgufPart> part);
  void open_others(const std::filesystem::path& path);
};

void GgufFile::Parts::add(std::unique_ptr<GgufPart> part) {
  for (TensorView& view : part->tensors) {
    if (!tensor_index.emplace(view.name, tensors.size()).second) {
      throw ModelError(part->name + ": tensor " + quoted_name(view.name) +
                       " is in an earlier part, too");
    }
    tensors.push_back(std::move(view));
  }
  part->tensors.clear();
  files.push_back(std::move(part));
}

// The first part has been read; it says how many there are.
void GgufFile::Parts::open_others(const std::filesystem::path& path) {
  const GgufPart& first = *files[0];
  const std::int64_t count = parts_in_all(first);
  const auto wrong = [&](const GgufPart& part, const std::string& problem) {
    throw ModelError(part.name + ": " + problem);
  };
  if (count == 1) return;
  const std::optional<PartName> name = part_name(path);
  if (!name || name->count != count) {
    wrong(first, "it is one of " + std::to_string(count) +
                     " parts, but its name does not end in the number and the count of a part, as "
                     "in -00001-of-00003.gguf");
  }
  if (name->index > 0) wrong(first, place(0, count) + " is missing: " + name->path(0).string());
  for (std::int64_t i = 1; i < count; ++i) {
    const std::filesystem::path other = name->path(i);
    if (!std::filesystem::exists(other)) {
      wrong(first, place(i, count) + " is missing: " + other.string());
    }
    add(std::make_unique<GgufPart>(other));
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const GgufPart& part = *files[i];
    const std::int64_t index = part.count("split.no", kMaxParts).value_or(-1);
    if (index != i || parts_in_all(part) != count) {
      wrong(part, "it should be " + place(i, count) + ", but says that it is " +
                      place(index, parts_in_all(part)));
    }
  }
  const auto all = first.count("split.tensors.count", 1 << 20);
  if (all && *all != static_cast<std::int64_t>(tensors.size())) {
    wrong(first, "its parts have " + std::to_string(tensors.size()) +
                     " tensors, but it says that there are " + std::to_string(*all));
  }
}

std::int64_t TensorView::elements() const {
  std::int64_t product = 1;
  for (std::int64_t n : ne) product *= n;
  return product;
}

GgufFile::GgufFile(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
GgufFile::~GgufFile() = default;

std::shared_ptr<const GgufFile> GgufFile::open(const std::filesystem::path& path) {
  auto parts = std::make_unique<Parts>();
  // Whichever part was named, reading begins at the first.
  const std::optional<PartName> name = part_name(path);
  const bool later = name && name->index > 0 && std::filesystem::exists(name->path(0));
  const std::filesystem::path first = later ? name->path(0) : path;
  parts->add(std::make_unique<GgufPart>(first));
  parts->open_others(first);
  return std::shared_ptr<const GgufFile>(new GgufFile(std::move(parts)));
}

std::shared_ptr<const GgufFile> GgufFile::from_memory(std::span<const std::byte> bytes,
                                                      std::string name) {
  assert(reinterpret_cast<std::uintptr_t>(bytes.data()) % 64 == 0);
  auto parts = std::make_unique<Parts>();
  parts->add(std::make_unique<GgufPart>(bytes, std::move(name)));
  if (parts_in_all(*parts->files[0]) > 1) {
    throw ModelError(parts->files[0]->name + ": it is one of several parts");
  }
  return std::shared_ptr<const GgufFile>(new GgufFile(std::move(parts)));
}

const std::string& GgufFile::name() const {
  return parts_->files[0]->name;
}

std::size_t GgufFile::size_bytes() const {
  std::size_t bytes = 0;
  for (const auto& part : parts_->files) bytes += part->bytes.size();
  return bytes;
}

void GgufFile::let_go(const TensorView& tensor) const {
  for (const auto& part : parts_->files) {
    const std::byte* const begin = part->bytes.data();
    if (!part->mapping || tensor.data < begin || tensor.data >= begin + part->bytes.size())
      continue;
    part->mapping->let_go({tensor.data, tensor.bytes});
  }
}

const GgufFile::Value* GgufFile::find(std::string_view key) const {
  const auto found = parts_->files[0]->values.find(key);
  return found == parts_->files[0]->values.end() ? nullptr : &found->second;
}

namespace {

[[noreturn]] void fail_type(const GgufFile& file, std::string_view key, const char* wanted) {
  throw ModelError(file.name() + ": key " + quoted_name(key) + " is not " + wanted);
}

template <typename T>
const T* find_array(const GgufFile& file, std::string_view key, const char* wanted) {
  const GgufFile::Value* value = file.find(key);
  if (!value) return nullptr;
  const auto* array = std::get_if<GgufFile::Array>(value);
  const T* elements = array ? std::get_if<T>(array) : nullptr;
  if (!elements) fail_type(file, key, wanted);
  return elements;
}

}  // namespace

std::optional<std::int64_t> GgufFile::integer(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  if (const auto* number = std::get_if<std::int64_t>(value)) return *number;
  fail_type(*this, key, "an integer");
}

std::optional<double> GgufFile::number(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(value)) return static_cast<double>(*number);
  fail_type(*this, key, "a number");
}

std::optional<std::string> GgufFile::string(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  if (const auto* text = std::get_if<std::string_view>(value)) return std::string(*text);
  fail_type(*this, key, "a string");
}

const std::vector<std::int64_t>* GgufFile::integers(std::string_view key) const {
  return find_array<std::vector<std::int64_t>>(*this, key, "an array of integers");
}

const std::vector<std::string_view>* GgufFile::strings(std::string_view key) const {
  return find_array<std::vector<std::string_view>>(*this, key, "an array of strings");
}

std::span<const TensorView> GgufFile::tensors() const {
  return parts_->tensors;
}

const TensorView* GgufFile::tensor(std::string_view name) const {
  const auto found = parts_->tensor_index.find(name);
  return found == parts_->tensor_index.end() ? nullptr : &parts_->tensors[found->second];
}

const std::string& GgufFile::fingerprint() const {
  std::call_once(parts_->fingerprint_once, [this] {
    // Small tensors whole, large ones by three samples: a 400 GB file must not be read for this.
    constexpr std::size_t kWhole = 1 << 16;
    constexpr std::size_t kSample = 1 << 12;
    XXH3_state_t* state = XXH3_createState();
    XXH3_128bits_reset(state);
    for (const auto& part : parts_->files) {
      XXH3_128bits_update(state, part->bytes.data(), part->header_bytes);
    }
    for (const TensorView& view : parts_->tensors) {
      if (view.bytes <= kWhole) {
        XXH3_128bits_update(state, view.data, view.bytes);
        continue;
      }
      for (std::size_t at : {std::size_t{0}, view.bytes / 2, view.bytes - kSample}) {
        XXH3_128bits_update(state, view.data + at, kSample);
      }
    }
    const XXH128_hash_t hash = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    char hex[33];
    std::snprintf(hex, sizeof hex, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                  static_cast<unsigned long long>(hash.low64));
    parts_->fingerprint = hex;
  });
  return parts_->fingerprint;
}

}  // namespace corvid::model
