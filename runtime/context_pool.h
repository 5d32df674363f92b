// Contexts between requests, found again by the tokens that they hold.
//
// A request gets the context that shares the longest prefix with its prompt: the context itself
// when all of it is shared, else a fork, which has the shared pages in common with it. So nothing
// is computed twice while some context holds it, also one that is in use. They are found, as the
// snapshots on disk are, in one tree of prefixes. Owners share nothing, not even how long a request
// takes. Beyond the limits those go first that went on in another, then what costs least to compute
// again (a title, a summary); what was spent on others since counts against those not used for
// long, so that every conversation goes some day. With a folder for snapshots, conversations go
// there and come back. Engine thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>

#include "memory/prefix_tree.h"
#include "memory/snapshots.h"
#include "model/engine.h"

namespace corvid::runtime {

class ContextPool {
 public:
  struct Options {
    int contexts = 16;                             // that nobody uses
    std::size_t kv_bytes = std::size_t{1} << 30;   // of all that nobody uses
    std::shared_ptr<memory::Snapshots> snapshots;  // null: on no disk
  };
  explicit ContextPool(Options options);

  std::unique_ptr<model::Context> take(model::Engine& engine, std::span<const model::Token> prompt,
                                       std::uint64_t owner);
  // What a context in use holds has been cut, or has grown; once for each such change.
  void follow(const model::Context& context);
  void put(std::unique_ptr<model::Context> context);
  // Before the end: what nobody uses, and may be gone on with, goes to disk, where there is one.
  void save();

 private:
  struct Entry : memory::PrefixTree::Text {
    std::unique_ptr<model::Context> idle;  // null: in use
    model::Context* context = nullptr;
    int requests = 0;  // that went on with one another here; 0: they went on elsewhere
    std::uint64_t used = 0;
    std::uint64_t lost_before = 0;  // see lost_, when it was last used
  };

  Entry* best_for(model::Engine& engine, std::span<const model::Token> prompt, std::uint64_t owner);
  Entry& add(model::Context& context, std::uint64_t owner, memory::PrefixTree::Kind kind);
  std::unique_ptr<model::Context> lend(std::unique_ptr<model::Context> context, std::uint64_t owner,
                                       int requests);
  void touch(Entry& entry);
  std::uint64_t worth(const Entry& entry) const;
  void keep(const Entry& entry);
  void evict();

  const Options options_;
  const std::shared_ptr<memory::PrefixTree> tree_;  // of the snapshots, where there are any
  std::unordered_map<const model::Context*, Entry> entries_;
  std::uint64_t clock_ = 0;
  std::uint64_t lost_ = 0;  // what the last one that had to go was worth
};

}  // namespace corvid::runtime
