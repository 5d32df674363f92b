#include "model/engine.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdio>

#include "model/compute/make_backend.h"
#include "model/engine_parts.h"
#include "model/error.h"

namespace corvid::model {
namespace {

constexpr int kMaxBatch = 512;

std::string describe(const GgufFile& file, const Config& config, const Backend& backend) {
  double elements = 0;
  std::array<double, kTypeIds> of_type{};
  for (const TensorView& tensor : file.tensors()) {
    elements += static_cast<double>(tensor.elements());
    of_type[static_cast<int>(tensor.type)] += static_cast<double>(tensor.elements());
  }
  // The type that most weights have.
  const auto most = static_cast<Type>(std::ranges::max_element(of_type) - of_type.begin());
  char size[32];
  const bool billions = elements >= 1e9;
  std::snprintf(size, sizeof size, "%.1f%c", elements / (billions ? 1e9 : 1e6),
                billions ? 'B' : 'M');
  std::string type(traits(most).name);
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::tolower(c); });
  return config.architecture + " " + size + ", " + type + ", " + backend.description();
}

void check(const Work& work, const Config& config, int room_tokens) {
  for (Token token : work.tokens) {
    if (token >= 0 && token < config.vocab) continue;
    throw ModelError("token " + std::to_string(token) + " is outside the vocabulary of " +
                     std::to_string(config.vocab));
  }
  if (static_cast<int>(work.tokens.size()) > room_tokens) {
    throw ModelError("the context is full: " + std::to_string(work.tokens.size()) +
                     " tokens do not fit into the " + std::to_string(room_tokens) + " left");
  }
}

}  // namespace

std::shared_ptr<Engine> Engine::load(std::shared_ptr<const GgufFile> file, EngineOptions options) {
  auto parts = std::make_unique<Parts>();
  parts->file = std::move(file);
  parts->config = read_config(*parts->file);
  const int limit = parts->config.context;
  parts->max_context_tokens =
      options.max_context_tokens > 0 ? std::min(options.max_context_tokens, limit) : limit;
  BackendOptions wanted{.name = options.backend,
                        .threads = options.threads,
                        .kernels = options.kernels,
                        .precision = options.exact ? Precision::exact : precision_of(*parts->file),
                        .model_bytes = static_cast<std::int64_t>(parts->file->size_bytes()),
                        .gpu = options.gpu};
  MadeBackend made = make_backend(wanted);
  try {
    parts->open(std::move(made.backend), options.on_progress);
  } catch (const ModelError& error) {
    if (!made.unasked) throw;
    wanted.name = "cpu";
    made.note = std::string("the GPU is not used: ") + error.what();
    parts->open(make_backend(wanted).backend, options.on_progress);
  }
  parts->description = describe(*parts->file, parts->config, *parts->backend);
  if (!made.note.empty()) parts->description += "; " + made.note;
  return std::shared_ptr<Engine>(new Engine(std::move(parts)));
}

// What an earlier back end held goes first.
void Engine::Parts::open(std::unique_ptr<Backend> on,
                         const std::function<void(double)>& on_progress) {
  transformer.reset();
  weights = {};
  backend = std::move(on);
  weights = load_weights(*file, config, *backend, on_progress);
  transformer = std::make_unique<Transformer>(config, weights, *backend, kMaxBatch);
  pool = std::make_unique<PagePool>(*backend);
}

Engine::Engine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Engine::~Engine() = default;

const Config& Engine::config() const {
  return parts_->config;
}

int Engine::vocab_size() const {
  return parts_->config.vocab;
}

int Engine::max_context_tokens() const {
  return parts_->max_context_tokens;
}

const std::string& Engine::fingerprint() const {
  return parts_->file->fingerprint();
}

std::string Engine::description() const {
  return parts_->description;
}

int Engine::max_batch_tokens() const {
  return kMaxBatch;
}

std::int64_t Engine::rows_computed() const {
  return parts_->transformer->rows_computed();
}

Traffic Engine::traffic() const {
  return parts_->backend->traffic();
}

std::unique_ptr<Context> Engine::new_context() {
  return std::unique_ptr<Context>(new Context(std::unique_ptr<Context::Parts>(
      new Context::Parts{shared_from_this(), KvCache(*parts_->pool), {}, {}, -1})));
}

bool Engine::step(std::span<const Work> work, std::stop_token stop) {
  std::vector<Token> tokens;
  std::vector<Sequence> sequences;
  std::vector<Wanted> wanted;
  const auto rows_of = [](const Work& w) {
    const int n = static_cast<int>(w.tokens.size());
    return w.logits == Rows::all ? n : w.logits == Rows::last ? std::min(n, 1) : 0;
  };
  for (const Work& w : work) check(w, parts_->config, w.context->room_tokens());
  for (const Work& w : work) {
    if (w.tokens.empty()) continue;
    assert(!w.draw || w.logits == Rows::last);
    KvCache& cache = w.context->parts_->cache;
    const int n = static_cast<int>(w.tokens.size()), first = static_cast<int>(tokens.size());
    sequences.push_back({cache.reserve(n), cache.n_tokens(), n});
    tokens.insert(tokens.end(), w.tokens.begin(), w.tokens.end());
    for (int i = n - rows_of(w); i < n; ++i) wanted.push_back({.row = first + i, .draw = w.draw});
  }
  assert(tokens.size() <= kMaxBatch);
  if (tokens.empty()) return true;

  // Results go to fresh memory: until the step has succeeded, no context changes.
  const bool finished = parts_->transformer->forward({tokens, sequences}, wanted, std::move(stop));
  auto result = wanted.begin();
  for (const Work& w : work) {
    Context::Parts& context = *w.context->parts_;
    if (!finished) {
      context.cache.rewind(context.cache.n_tokens());
      continue;
    }
    context.logits.clear();
    context.drawn = -1;
    for (int i = 0; i < rows_of(w); ++i, ++result) {
      context.logits.insert(context.logits.end(), result->logits.begin(), result->logits.end());
      context.drawn = result->token;
    }
    context.cache.commit(static_cast<int>(w.tokens.size()));
    context.tokens.insert(context.tokens.end(), w.tokens.begin(), w.tokens.end());
  }
  return finished;
}

}  // namespace corvid::model
