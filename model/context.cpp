// Context: tokens and their KV pages.
#include <cassert>

#include "model/engine_parts.h"
#include "model/error.h"
#include "model/snapshot.h"

namespace corvid::model {
Context::Parts::Parts(std::shared_ptr<Engine> of, KvCache pages, std::vector<Token> known)
    : engine(std::move(of)), cache(std::move(pages)), tokens(std::move(known)) {
  engine->parts_->contexts.push_back(this);
}

Context::Parts::~Parts() {
  std::erase(engine->parts_->contexts, this);
}

Context::Context(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Context::~Context() = default;

std::span<const Token> Context::tokens() const {
  return parts_->tokens;
}

Mark Context::mark() const {
  return {static_cast<int>(parts_->tokens.size())};
}

bool Context::rewind(Mark to) {
  if (to.n_tokens < 0 || to.n_tokens > mark().n_tokens) return false;
  parts_->cache.rewind(to.n_tokens);
  parts_->tokens.resize(to.n_tokens);
  return true;
}

std::unique_ptr<Context> Context::fork() const {
  auto copy = std::make_unique<Parts>(parts_->engine, parts_->cache.fork(), parts_->tokens);
  copy->logits = parts_->logits;
  copy->drawn = parts_->drawn;
  return std::unique_ptr<Context>(new Context(std::move(copy)));
}

std::span<const float> Context::logits(int row) const {
  const int vocab = parts_->engine->vocab_size();
  const int rows = static_cast<int>(parts_->logits.size() / vocab);
  if (row < 0) row += rows;
  assert(row >= 0 && row < rows);
  return std::span(parts_->logits).subspan(static_cast<std::size_t>(row) * vocab, vocab);
}

Token Context::drawn() const {
  return parts_->drawn;
}

int Context::room_tokens() const {
  return parts_->engine->max_context_tokens() - mark().n_tokens;
}

std::size_t Context::kv_bytes() const {
  return parts_->cache.bytes();
}

void Context::save(std::vector<std::byte>& out) const {
  const Engine& engine = *parts_->engine;
  write_snapshot(
      {.fingerprint = engine.fingerprint(),
       .cache_format = engine.parts_->backend->cache_format(),
       .tokens = parts_->tokens},
      parts_->cache.snapshot_bytes(mark().n_tokens),
      [this](std::byte* state) { parts_->cache.save(state); }, out);
}

void Context::load(std::span<const std::byte> bytes) {
  const Engine& engine = *parts_->engine;
  Snapshot snapshot = read_snapshot(bytes);
  if (snapshot.fingerprint != engine.fingerprint()) {
    throw ModelError("the KV snapshot belongs to another model");
  }
  if (const std::string format = engine.parts_->backend->cache_format();
      snapshot.cache_format != format) {
    throw ModelError("the KV snapshot is in the format '" + snapshot.cache_format +
                     "', this model runs with '" + format + "'");
  }
  const std::size_t n = snapshot.tokens.size();
  if (n > static_cast<std::size_t>(engine.max_context_tokens())) {
    throw ModelError("the KV snapshot holds " + std::to_string(n) + " tokens; the context takes " +
                     std::to_string(engine.max_context_tokens()));
  }
  for (Token token : snapshot.tokens) {
    if (token >= 0 && token < engine.vocab_size()) continue;
    throw ModelError("the KV snapshot holds token " + std::to_string(token) +
                     ", which is outside the vocabulary of " + std::to_string(engine.vocab_size()));
  }
  if (snapshot.state.size() != parts_->cache.snapshot_bytes(static_cast<int>(n))) {
    throw ModelError("the KV snapshot has the wrong size");
  }
  parts_->cache.load(snapshot.state.data(), static_cast<int>(n));
  parts_->tokens = std::move(snapshot.tokens);
  parts_->logits.clear();
  parts_->drawn = -1;
}

}  // namespace corvid::model
