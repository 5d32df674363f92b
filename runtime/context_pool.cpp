#include "runtime/context_pool.h"

#include <algorithm>
#include <cassert>
#include <tuple>
#include <utility>
#include <vector>

namespace corvid::runtime {

using Kind = memory::PrefixTree::Kind;

namespace {

// Fewer tokens than these are not worth a snapshot's way from disk: every prompt begins with some.
constexpr int kMinFromDisk = 32;
constexpr std::ptrdiff_t kEndTokens = 2;

// Whether the prompt repeats what the text ends with, though it leaves something out before: it
// goes on with that conversation. If not, the two have begun alike.
bool goes_on(std::span<const model::Token> prompt, std::span<const model::Token> text, int common) {
  const auto left = text.subspan(static_cast<std::size_t>(common));
  const auto more = prompt.subspan(static_cast<std::size_t>(common));
  if (more.empty()) return true;  // the same again
  const std::ptrdiff_t n = std::min(std::ssize(left), kEndTokens);
  return std::search(more.begin(), more.end(), left.end() - n, left.end()) != more.end();
}

// What is least wanted again comes first.
constexpr auto worth = [](const auto& entry) {
  return std::tuple(std::min(entry.requests, 2), entry.used);
};

}  // namespace

ContextPool::ContextPool(Options options)
    : options_(std::move(options)),
      tree_(options_.snapshots ? std::shared_ptr<memory::PrefixTree>(options_.snapshots,
                                                                     &options_.snapshots->tree())
                               : std::make_shared<memory::PrefixTree>()) {}

ContextPool::Entry& ContextPool::add(model::Context& context, std::uint64_t owner, Kind kind) {
  Entry& entry = entries_[&context];
  entry.context = &context;
  entry.used = ++clock_;
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
  entry.used = ++clock_;
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
  std::ranges::sort(kept, {}, [](const Entry* entry) { return worth(*entry); });
  for (const Entry* entry : kept) keep(*entry);
}

void ContextPool::evict() {
  for (;;) {
    int n_idle = 0;
    std::size_t bytes = 0;
    const Entry* worst = nullptr;
    for (const auto& [context, entry] : entries_) {
      if (!entry.idle) continue;
      ++n_idle;
      bytes += context->kv_bytes();
      if (!worst || worth(entry) < worth(*worst)) worst = &entry;
    }
    if (n_idle <= options_.contexts && bytes <= options_.kv_bytes) return;
    if (worst->requests > 1) keep(*worst);
    entries_.erase(worst->context);
  }
}

}  // namespace corvid::runtime
