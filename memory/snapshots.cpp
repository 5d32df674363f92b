#include "memory/snapshots.h"

#include <cassert>
#include <charconv>
#include <cstddef>
#include <fstream>
#include <optional>
#include <vector>

#include "memory/error.h"
#include "model/error.h"

namespace corvid::memory {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kMagic = 0x4E535643;  // "CVSN"
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kMaxTokens = 1u << 24;
constexpr std::int64_t kMaxNumber = std::int64_t{1} << 62;
constexpr const char* kNote = "note";

struct Head {
  std::uint32_t magic = kMagic, version = kVersion;
  std::uint64_t owner = 0;
  std::uint32_t n_tokens = 0, reserved = 0;
};

// Written whole beside it and then renamed, so that no reader sees a part of it.
bool write_file(const fs::path& file, std::initializer_list<std::span<const char>> parts) {
  const fs::path draft = file.string() + ".new";
  std::ofstream out(draft, std::ios::binary | std::ios::trunc);
  fs::permissions(draft, fs::perms::owner_read | fs::perms::owner_write);
  for (const auto& part : parts) {
    out.write(part.data(), static_cast<std::streamsize>(part.size()));
  }
  out.close();
  std::error_code error;
  if (out) fs::rename(draft, file, error);
  if (out && !error) return true;
  fs::remove(draft, error);
  return false;
}

template <typename T>
std::span<const char> bytes_of(const T& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof values[0]};
}

std::optional<Head> read_head(std::istream& in) {
  Head head;
  in.read(reinterpret_cast<char*>(&head), sizeof head);
  const bool known = in && head.magic == kMagic && head.version == kVersion;
  if (!known || head.n_tokens > kMaxTokens) return std::nullopt;
  return head;
}

}  // namespace

Snapshots::Snapshots(const fs::path& folder, const std::string& fingerprint,
                     std::uint64_t limit_bytes)
    : folder_(folder / fingerprint), limit_bytes_(limit_bytes) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (!error) fs::permissions(folder_, fs::perms::owner_all, error);
  if (error) {
    throw MemoryError("cannot keep KV snapshots in " + folder_.string() + ": " + error.message());
  }
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    if (entry.path().extension() == ".kv" && !index(entry.path())) {
      std::error_code ignored;
      fs::remove(entry.path(), ignored);
    }
  }
}

fs::path Snapshots::file_of(std::int64_t number) const {
  return folder_ / (std::to_string(number) + ".kv");
}

// False: it is of no use.
bool Snapshots::index(const fs::path& file) {
  const std::string name = file.stem().string();
  std::int64_t number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number);
  if (file != file_of(number) || number >= kMaxNumber) return false;
  std::ifstream in(file, std::ios::binary);
  const std::optional<Head> head = read_head(in);
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(file, error);
  if (!head || error || bytes / sizeof(model::Token) <= head->n_tokens) return false;
  std::vector<model::Token> tokens(head->n_tokens);
  in.read(reinterpret_cast<char*>(tokens.data()),
          static_cast<std::streamsize>(tokens.size() * sizeof(model::Token)));
  if (!in) return false;
  Snapshot& snapshot = snapshots_[number];
  snapshot.number = number;
  snapshot.bytes = bytes;
  snapshot.join(tree_, head->owner, PrefixTree::Kind::on_disk, tokens);
  return true;
}

void Snapshots::save(const model::Context& context, std::uint64_t owner) {
  const std::span<const model::Token> tokens = context.tokens();
  std::vector<std::byte> state;
  try {
    context.save(state);
  } catch (const model::ModelError&) {
    return;  // a lost device gives nothing back
  }
  const std::int64_t number = snapshots_.empty() ? 1 : snapshots_.rbegin()->first + 1;
  const Head head{.owner = owner, .n_tokens = static_cast<std::uint32_t>(tokens.size())};
  const std::uint64_t bytes = sizeof head + bytes_of(tokens).size() + state.size();
  if (bytes > limit_bytes_) return;
  const std::span first(reinterpret_cast<const char*>(&head), sizeof head);
  if (!write_file(file_of(number), {first, bytes_of(tokens), bytes_of(state)})) {
    return;  // a full disk costs prefill, no more
  }
  Snapshot& snapshot = snapshots_[number];
  snapshot.number = number;
  snapshot.bytes = bytes;
  snapshot.join(tree_, owner, PrefixTree::Kind::on_disk, tokens);
  shrink();
}

void Snapshots::shrink() {
  std::uint64_t bytes = 0;
  for (const auto& [number, snapshot] : snapshots_) bytes += snapshot.bytes;
  while (bytes > limit_bytes_) {
    const auto oldest = snapshots_.begin();
    bytes -= oldest->second.bytes;
    std::error_code ignored;
    fs::remove(file_of(oldest->first), ignored);
    snapshots_.erase(oldest);
  }
}

std::unique_ptr<model::Context> Snapshots::take(model::Engine& engine, PrefixTree::Text& found) {
  assert(found.kind() == PrefixTree::Kind::on_disk);
  const Snapshot& snapshot = static_cast<const Snapshot&>(found);
  const std::int64_t number = snapshot.number;
  const std::size_t head_bytes =
      sizeof(Head) + static_cast<std::size_t>(snapshot.size()) * sizeof(model::Token);
  std::vector<std::byte> state(snapshot.bytes - head_bytes);
  snapshots_.erase(number);
  const fs::path file = file_of(number);
  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(head_bytes));
  in.read(reinterpret_cast<char*>(state.data()), static_cast<std::streamsize>(state.size()));
  std::error_code ignored;
  fs::remove(file, ignored);
  if (!in) return nullptr;
  try {
    auto context = engine.new_context();
    context->load(state);
    return context;
  } catch (const model::ModelError&) {
    return nullptr;  // damaged: its checksum says so
  }
}

std::string Snapshots::read_note() const {
  std::ifstream in(folder_ / kNote, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void Snapshots::write_note(std::string_view bytes) const {
  write_file(folder_ / kNote, {std::span(bytes.data(), bytes.size())});
}

void Snapshots::append_note(std::string_view bytes) const {
  const fs::path file = folder_ / kNote;
  std::error_code error;
  const std::uintmax_t size = fs::exists(file, error) ? fs::file_size(file, error) : 0;
  std::ofstream out(file, std::ios::binary | std::ios::app);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out && !error) fs::resize_file(file, size, error);  // the disk is full: nothing of it stays
}

}  // namespace corvid::memory
