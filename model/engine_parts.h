// What engine.cpp and context.cpp share; nobody else includes it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/engine.h"
#include "model/files/gguf.h"
#include "model/net/config.h"
#include "model/net/kv_cache.h"
#include "model/net/transformer.h"
#include "model/net/weights.h"

namespace corvid::model {

struct Engine::Parts {
  std::shared_ptr<const GgufFile> file;
  Config config;
  std::unique_ptr<Backend> backend;
  Weights weights;
  std::unique_ptr<Transformer> transformer;
  std::unique_ptr<PagePool> pool;
  int max_context_tokens = 0;
  std::string description;

  void open(std::unique_ptr<Backend> on, const std::function<void(double)>& on_progress);
};

struct Context::Parts {
  std::shared_ptr<Engine> engine;
  KvCache cache;
  std::vector<Token> tokens;
  std::vector<float> logits;  // [n_rows, vocab] of the last step
  Token drawn = -1;
};

}  // namespace corvid::model
