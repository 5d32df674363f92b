// KV state on disk: contexts that outlive the process, found by the tokens that they hold.
//
// A folder of one model's snapshots, one file each, private to the user. A file begins with whose
// it is and its tokens, which are read at start; its pages are read when they are wanted. A file
// that is damaged or belongs to another model is removed and costs nothing but its prefill.
// Bounded: the oldest go first. Synchronous; one thread at a time. Only the constructor throws
// MemoryError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/engine.h"

namespace corvid::memory {

class Snapshots {
 public:
  // Creates `folder`/FINGERPRINT.
  Snapshots(const std::filesystem::path& folder, const std::string& fingerprint,
            std::uint64_t limit_bytes);

  void save(const model::Context& context, std::uint64_t owner);

  // The number of tokens that the best snapshot of this owner has in common with the prompt.
  int common_tokens(std::span<const model::Token> prompt, std::uint64_t owner) const;
  // That snapshot as a context; it is on disk no more. Null when it cannot be read.
  std::unique_ptr<model::Context> take(model::Engine& engine, std::span<const model::Token> prompt,
                                       std::uint64_t owner);

  // A small file beside the snapshots, for whatever belongs to them. Empty: there is none. Another
  // thread may use it meanwhile.
  std::string read_note() const;
  void write_note(std::string_view bytes) const;
  void append_note(std::string_view bytes) const;

 private:
  struct Snapshot {
    std::filesystem::path file;
    std::uint64_t owner = 0;
    std::vector<model::Token> tokens;
    std::uint64_t bytes = 0;
    std::int64_t number = 0;  // counts up with every snapshot
  };

  const Snapshot* best(std::span<const model::Token> prompt, std::uint64_t owner) const;
  void index(const std::filesystem::path& file);
  void shrink();

  std::filesystem::path folder_;
  const std::uint64_t limit_bytes_;
  std::vector<Snapshot> snapshots_;  // by number
};

}  // namespace corvid::memory
