#include "memory/snapshots.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <fstream>
#include <optional>
#include <ranges>

#include "memory/error.h"
#include "memory/prefix.h"
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
    if (entry.path().extension() == ".kv") index(entry.path());
  }
  std::ranges::sort(snapshots_, {}, &Snapshot::number);
}

void Snapshots::index(const fs::path& file) {
  Snapshot snapshot{file, 0, {}, 0, 0};
  const std::string name = file.stem().string();
  const auto numbered =
      std::from_chars(name.data(), name.data() + name.size(), snapshot.number).ec == std::errc();
  std::ifstream in(file, std::ios::binary);
  const std::optional<Head> head = read_head(in);
  std::error_code error;
  snapshot.bytes = fs::file_size(file, error);
  const bool known = head && numbered && snapshot.number < kMaxNumber;
  if (known && !error && snapshot.bytes / sizeof(model::Token) > head->n_tokens) {
    snapshot.owner = head->owner;
    snapshot.tokens.resize(head->n_tokens);
    in.read(reinterpret_cast<char*>(snapshot.tokens.data()),
            static_cast<std::streamsize>(head->n_tokens * sizeof(model::Token)));
    if (in) return snapshots_.push_back(std::move(snapshot));
  }
  fs::remove(file, error);
}

void Snapshots::save(const model::Context& context, std::uint64_t owner) {
  const std::span<const model::Token> tokens = context.tokens();
  std::vector<std::byte> state;
  context.save(state);
  Snapshot snapshot;
  snapshot.number = snapshots_.empty() ? 1 : snapshots_.back().number + 1;
  snapshot.file = folder_ / (std::to_string(snapshot.number) + ".kv");
  snapshot.owner = owner;
  snapshot.tokens.assign(tokens.begin(), tokens.end());
  const Head head{.owner = owner, .n_tokens = static_cast<std::uint32_t>(tokens.size())};
  snapshot.bytes = sizeof head + bytes_of(tokens).size() + state.size();
  if (snapshot.bytes > limit_bytes_) return;
  if (!write_file(snapshot.file, {std::span(reinterpret_cast<const char*>(&head), sizeof head),
                                  bytes_of(tokens), bytes_of(state)})) {
    return;  // a full disk costs prefill, no more
  }
  snapshots_.push_back(std::move(snapshot));
  shrink();
}

void Snapshots::shrink() {
  std::uint64_t bytes = 0;
  for (const Snapshot& snapshot : snapshots_) bytes += snapshot.bytes;
  while (bytes > limit_bytes_) {
    bytes -= snapshots_.front().bytes;
    std::error_code ignored;
    fs::remove(snapshots_.front().file, ignored);
    snapshots_.erase(snapshots_.begin());
  }
}

const Snapshots::Snapshot* Snapshots::best(std::span<const model::Token> prompt,
                                           std::uint64_t owner) const {
  const Snapshot* best = nullptr;
  PrefixSearch search(prompt);
  for (const Snapshot& snapshot : std::views::reverse(snapshots_)) {
    if (snapshot.owner == owner && search.offer(snapshot.tokens)) best = &snapshot;
  }
  return best;
}

int Snapshots::common_tokens(std::span<const model::Token> prompt, std::uint64_t owner) const {
  const Snapshot* found = best(prompt, owner);
  return found ? common_prefix(found->tokens, prompt) : 0;
}

std::unique_ptr<model::Context> Snapshots::take(model::Engine& engine,
                                                std::span<const model::Token> prompt,
                                                std::uint64_t owner) {
  const Snapshot* found = best(prompt, owner);
  if (!found) return nullptr;
  const Snapshot snapshot = *found;
  snapshots_.erase(snapshots_.begin() + (found - snapshots_.data()));
  std::ifstream in(snapshot.file, std::ios::binary);
  const std::size_t head_bytes = sizeof(Head) + snapshot.tokens.size() * sizeof(model::Token);
  std::vector<std::byte> state(snapshot.bytes - head_bytes);
  in.seekg(static_cast<std::streamoff>(head_bytes));
  in.read(reinterpret_cast<char*>(state.data()), static_cast<std::streamsize>(state.size()));
  std::error_code ignored;
  fs::remove(snapshot.file, ignored);
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
  std::ofstream out(folder_ / kNote, std::ios::binary | std::ios::app);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace corvid::memory
