// KV state on disk: contexts that outlive the process, found by the tokens that they hold.
//
// A folder of one model's snapshots, one file each, private to the user. A file begins with whose
// it is and its tokens, which are read at start, into a tree that live contexts join, too; its
// pages are read when they are wanted. A file that is damaged or belongs to another model is
// removed and costs nothing but its prefill. Bounded: the oldest go first. Synchronous; one thread
// at a time. Only the constructor throws MemoryError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "memory/prefix_tree.h"
#include "model/engine.h"

namespace corvid::memory {

class Snapshots {
 public:
  // Creates `folder`/FINGERPRINT.
  Snapshots(const std::filesystem::path& folder, const std::string& fingerprint,
            std::uint64_t limit_bytes);

  void save(const model::Context& context, std::uint64_t owner);

  // Where they are found, of Kind::on_disk.
  PrefixTree& tree() { return tree_; }
  // One of those as a context; it is on disk no more. Null when it cannot be read.
  std::unique_ptr<model::Context> take(model::Engine& engine, PrefixTree::Text& found);

  // A small file beside the snapshots, for whatever belongs to them. Empty: there is none. Another
  // thread may use it meanwhile.
  std::string read_note() const;
  void write_note(std::string_view bytes) const;
  void append_note(std::string_view bytes) const;  // all of it, or nothing

 private:
  struct Snapshot : PrefixTree::Text {
    std::int64_t number = 0;
    std::uint64_t bytes = 0;
  };

  std::filesystem::path file_of(std::int64_t number) const;
  bool index(const std::filesystem::path& file);
  void shrink();

  std::filesystem::path folder_;
  const std::uint64_t limit_bytes_;
  PrefixTree tree_;
  std::map<std::int64_t, Snapshot> snapshots_;  // by number, which counts up with every snapshot
};

}  // namespace corvid::memory
