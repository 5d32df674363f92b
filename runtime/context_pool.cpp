#include "runtime/context_pool.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <vector>

namespace corvid::runtime {

using Kind = memory::PrefixTree::Kind;

namespace {

// Fewer tokens than these are not worth a snapshot's way from disk: every prompt begins with some.
constexpr int kMinFromDisk = 32;
constexpr std::ptrdiff_t kEndTokens = 2;
// So many are worth a snapshot though only one request has used them.
constexpr int kMinToDisk = 256;

// Whether the prompt repeats most of the text and what it ends with, though it leaves something out
// between: it goes on with that conversation. If not, the two have begun alike; a few tokens at the
// end alone are those of any call.
bool goes_on(std::span<const model::Token> prompt, std::span<const model::Token> text, int common) {
  const auto left = text.subspan(static_cast<std::size_t>(common));
  const auto more = prompt.subspan(static_cast<std::size_t>(common));
  if (more.empty()) return true;  // the same again
  if (std::ssize(left) > common) return false;
  const std::ptrdiff_t n = std::min(std::ssize(left), kEndTokens);
  return std::search(more.begin(), more.end(), left.end() - n, left.end()) != more.end();
}

}  // namespace

ContextPool::ContextPool(Options options)
    : options_(std::move(options)),
      tree_(options_.snapshots ? std::shared_ptr<memory::PrefixTree>(options_.snapshots,
                                                                     &options_.snapshots->tree())
                               : std::make_shared<memory::PrefixTree>()) {}

void ContextPool::touch(Entry& entry) {
  entry.used = ++clock_;
  entry.lost_before = lost_;
}

// In tokens: what it would cost to compute again, on top of what others were worth that had gone
// when it was last used. So one that is asked for again and again stays when as much was lost by it
// as another is worth that nobody asks for (the algorithm is known as GreedyDual).
std::uint64_t ContextPool::worth(const Entry& entry) const {
  if (entry.requests == 0) return 0;
  return entry.lost_before + static_cast<std::uint64_t>(entry.own_size());
}

ContextPool::Entry& ContextPool::add(model::Context& context, std::uint64_t owner, Kind kind) {
  Entry& entry = entries_[&context];
  entry.context = &context;
  touch(entry);
  entry.join(*tree_, owner, kind, context.tokens());
  return entry;
}

// Of equals one that nobody uses: it need not be forked. Null: none is of any use.
ContextPool::Entry* ContextPool::best_for(model::Engine& engine,
                                          std::span<const model::Token> prompt,
                                          std::uint64_t owner) {
  const auto [idle, in_use, on_disk] = tree_->longest(prompt, owner);
  const auto& live = in_use.common > idle.common ? in_use : idle;
  if (on_disk.text && on_disk.common >= live.common + kMinFromDisk) {
    if (auto context = options_.snapshots->take(engine, *on_disk.text)) {
      Entry& entry = add(*context, owner, Kind::idle);
      entry.requests = 2;
      entry.idle = std::move(context);
      return &entry;
    }
  }
  return static_cast<Entry*>(live.text);
}

std::unique_ptr<model::Context> ContextPool::lend(std::unique_ptr<model::Context> context,
                                                  std::uint64_t owner, int requests) {
  add(*context, owner, Kind::in_use).requests = requests;
  return context;
}

std::unique_ptr<model::Context> ContextPool::take(model::Engine& engine,
                                                  std::span<const model::Token> prompt,
                                                  std::uint64_t owner) {
  Entry* const found = best_for(engine, prompt, owner);
  if (!found) return lend(engine.new_context(), owner, 1);
  const std::span<const model::Token> text = found->context->tokens();
  const int common = memory::common_prefix(text, prompt);
  if (found->idle && common == std::ssize(text)) {
    ++found->requests;
    found->become(Kind::in_use);
    return std::move(found->idle);
  }
  auto context = found->context->fork();
  context->rewind({common});
  if (!found->idle || !goes_on(prompt, text, common)) return lend(std::move(context), owner, 1);
  const int requests = std::exchange(found->requests, 0);
  return lend(std::move(context), owner, requests + 1);
}

void ContextPool::follow(const model::Context& context) {
  Entry& entry = entries_.at(&context);
  const std::span<const model::Token> tokens = context.tokens();
  entry.rewind(std::min(entry.size(), static_cast<int>(tokens.size())));
  entry.grow(tokens.subspan(static_cast<std::size_t>(entry.size())));
}

void ContextPool::put(std::unique_ptr<model::Context> context) {
  const auto place = entries_.find(context.get());
  assert(place != entries_.end());
  if (context->mark().n_tokens == 0) {
    entries_.erase(place);
    return evict();
  }
  Entry& entry = place->second;
  touch(entry);
  entry.become(Kind::idle);
  entry.idle = std::move(context);
  evict();
}

void ContextPool::keep(const Entry& entry) {
  if (options_.snapshots) options_.snapshots->save(*entry.idle, entry.owner());
}

void ContextPool::save() {
  std::vector<const Entry*> kept;
  for (const auto& [context, entry] : entries_) {
    if (entry.idle && entry.requests > 0) kept.push_back(&entry);
  }
  std::ranges::sort(kept, {}, &Entry::used);  // on disk the oldest go first
  for (const Entry* entry : kept) keep(*entry);
}

void ContextPool::evict() {
  for (;;) {
    std::vector<const Entry*> idle;
    std::size_t bytes = 0;
    for (const auto& [context, entry] : entries_) {
      if (!entry.idle) continue;
      idle.push_back(&entry);
      bytes += context->kv_bytes();
    }
    if (std::ssize(idle) <= options_.contexts && bytes <= options_.kv_bytes) return;
    std::ranges::sort(idle, {}, &Entry::used);
    // Where there is memory for them, those used last stay: who has just begun comes back.
    if (bytes <= options_.kv_bytes) idle.resize((idle.size() + 1) / 2);
    const Entry& worst =
        **std::ranges::min_element(idle, {}, [this](const Entry* entry) { return worth(*entry); });
    lost_ = std::max(lost_, worth(worst));
    if (worst.requests > 1 || (worst.requests > 0 && worst.own_size() >= kMinToDisk)) keep(worst);
    entries_.erase(worst.context);
  }
}

}  // namespace corvid::runtime
