#include "model/snapshot.h"

#include <xxhash.h>

#include <cstdint>
#include <cstring>

#include "model/error.h"

namespace corvid::model {
namespace {

constexpr std::uint32_t kMagic = 0x564B5643;  // "CVKV"
constexpr std::uint32_t kVersion = 1;

class Writer {
 public:
  explicit Writer(std::vector<std::byte>& out) : out_(out) {}
  template <class T>
  void put(const T& value) {
    std::memcpy(grow(sizeof value), &value, sizeof value);
  }
  void text(std::string_view text) {
    put(static_cast<std::uint32_t>(text.size()));
    std::memcpy(grow(text.size()), text.data(), text.size());
  }
  std::byte* grow(std::size_t n) {
    out_.resize(out_.size() + n);
    return out_.data() + out_.size() - n;
  }

 private:
  std::vector<std::byte>& out_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in) {}
  template <class T>
  T get() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string text() {
    const auto bytes = take(get<std::uint32_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::span<const std::byte> take(std::size_t n) {
    if (n > in_.size()) throw ModelError("the KV snapshot is truncated");
    const auto taken = in_.first(n);
    in_ = in_.subspan(n);
    return taken;
  }
  std::span<const std::byte> rest() const { return in_; }

 private:
  std::span<const std::byte> in_;
};

}  // namespace

Snapshot read_snapshot(std::span<const std::byte> bytes) {
  std::uint64_t sum = 0;
  if (bytes.size() < sizeof sum) throw ModelError("the KV snapshot is truncated");
  const auto summed = bytes.first(bytes.size() - sizeof sum);
  Reader reader(summed);
  if (reader.get<std::uint32_t>() != kMagic) throw ModelError("this is not a KV snapshot");
  if (const auto version = reader.get<std::uint32_t>(); version != kVersion) {
    throw ModelError("the KV snapshot has version " + std::to_string(version) +
                     "; this program reads version " + std::to_string(kVersion));
  }
  std::memcpy(&sum, bytes.data() + summed.size(), sizeof sum);
  if (sum != XXH3_64bits(summed.data(), summed.size())) {
    throw ModelError("the KV snapshot is damaged: its checksum does not match");
  }
  Snapshot snapshot;
  snapshot.fingerprint = reader.text();
  snapshot.cache_format = reader.text();
  const auto n = reader.get<std::uint32_t>();
  const auto tokens = reader.take(std::size_t{n} * sizeof(Token));
  snapshot.tokens.resize(n);
  if (n > 0) std::memcpy(snapshot.tokens.data(), tokens.data(), tokens.size());
  snapshot.state = reader.rest();
  return snapshot;
}

void write_snapshot(const Snapshot& snapshot, std::size_t state_bytes,
                    const std::function<void(std::byte*)>& put_state, std::vector<std::byte>& out) {
  out.clear();
  Writer writer(out);
  writer.put(kMagic);
  writer.put(kVersion);
  writer.text(snapshot.fingerprint);
  writer.text(snapshot.cache_format);
  writer.put(static_cast<std::uint32_t>(snapshot.tokens.size()));
  for (Token token : snapshot.tokens) writer.put(token);
  put_state(writer.grow(state_bytes));
  writer.put(static_cast<std::uint64_t>(XXH3_64bits(out.data(), out.size())));
}

}  // namespace corvid::model
