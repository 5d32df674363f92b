#include "runtime/context_pool.h"

#include <algorithm>
#include <cassert>
#include <ranges>
#include <tuple>
#include <utility>

#include "memory/prefix.h"

namespace corvid::runtime {

using memory::common_prefix;

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

// By asking each, those first that nobody uses: of equals they need not be forked. With 64 texts of
// 100,000 tokens that takes 10 us, at worst 3 ms (tests/bench/prefix_bench.cpp), once a request,
// where one step of the engine takes 20 ms and more; a tree would have to be kept up in each step.
ContextPool::Entry* ContextPool::longest(std::span<const model::Token> prompt,
                                         std::uint64_t owner) {
  Entry* best = nullptr;
  memory::PrefixSearch search(prompt);
  for (const bool idle : {true, false}) {
    for (Entry& entry : std::views::reverse(entries_)) {
      if (entry.owner != owner || (entry.idle != nullptr) != idle) continue;
      if (search.offer(entry.context->tokens())) best = &entry;
    }
  }
  return best;
}

std::unique_ptr<model::Context> ContextPool::lend(std::unique_ptr<model::Context> context,
                                                  std::uint64_t owner, int requests) {
  entries_.push_back({nullptr, context.get(), owner, requests, ++clock_});
  return context;
}

std::unique_ptr<model::Context> ContextPool::take(model::Engine& engine,
                                                  std::span<const model::Token> prompt,
                                                  std::uint64_t owner) {
  Entry* found = longest(prompt, owner);
  int common = found ? common_prefix(found->context->tokens(), prompt) : 0;
  memory::Snapshots* const disk = options_.snapshots.get();
  if (disk && disk->common_tokens(prompt, owner) >= common + kMinFromDisk) {
    if (auto context = disk->take(engine, prompt, owner)) {
      model::Context* const loaded = context.get();
      entries_.push_back({std::move(context), loaded, owner, 2, ++clock_});
      found = &entries_.back();
      common = common_prefix(loaded->tokens(), prompt);
    }
  }
  if (!found) return lend(engine.new_context(), owner, 1);
  const std::span<const model::Token> text = found->context->tokens();
  if (found->idle && common == std::ssize(text)) {
    ++found->requests;
    return std::move(found->idle);
  }
  auto context = found->context->fork();
  context->rewind({common});
  if (!found->idle || !goes_on(prompt, text, common)) return lend(std::move(context), owner, 1);
  const int requests = std::exchange(found->requests, 0);
  return lend(std::move(context), owner, requests + 1);
}

void ContextPool::put(std::unique_ptr<model::Context> context) {
  const auto entry = std::ranges::find(entries_, context.get(), &Entry::context);
  assert(entry != entries_.end());
  entry->used = ++clock_;
  entry->idle = std::move(context);
  if (entry->context->mark().n_tokens == 0) entries_.erase(entry);
  evict();
}

void ContextPool::keep(const Entry& entry) {
  if (options_.snapshots) options_.snapshots->save(*entry.idle, entry.owner);
}

void ContextPool::save() {
  entries_.sort([](const Entry& a, const Entry& b) { return worth(a) < worth(b); });
  for (const Entry& entry : entries_) {
    if (entry.idle && entry.requests > 0) keep(entry);
  }
}

void ContextPool::evict() {
  for (;;) {
    int n_idle = 0;
    std::size_t bytes = 0;
    auto worst = entries_.end();
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (!entry->idle) continue;
      ++n_idle;
      bytes += entry->context->kv_bytes();
      if (worst == entries_.end() || worth(*entry) < worth(*worst)) worst = entry;
    }
    if (n_idle <= options_.contexts && bytes <= options_.kv_bytes) return;
    if (worst->requests > 1) keep(*worst);
    entries_.erase(worst);
  }
}

}  // namespace corvid::runtime
