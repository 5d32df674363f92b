// The random models that the build makes from tests/vectors, and what the tests do with them.
#pragma once

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "model/engine.h"
#include "model/files/gguf.h"

namespace corvid::model::testing {

inline std::shared_ptr<const GgufFile> open_model(const std::string& name) {
  return GgufFile::open(std::string(CORVID_TEST_MODELS) + "/" + name + ".gguf");
}

// The bytes of a model, to be changed and read again by gguf_from.
inline std::string bytes_of(const std::string& name) {
  std::ifstream file(std::string(CORVID_TEST_MODELS) + "/" + name + ".gguf", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::shared_ptr<Engine> load_model(const std::string& name,
                                          const std::string& kernels = "auto", int threads = 2,
                                          bool exact = false) {
  return Engine::load(open_model(name), {.threads = threads, .kernels = kernels, .exact = exact});
}

inline nlohmann::json load_vector(const std::string& name) {
  std::ifstream in(std::string(CORVID_SOURCE_DIR) + "/tests/vectors/" + name + ".json");
  return nlohmann::json::parse(in);
}

// Appends tokens in steps of `chunk`; returns the logits of all of them, row after row.
inline std::vector<float> run(Engine& engine, Context& context, std::span<const Token> tokens,
                              int chunk) {
  std::vector<float> all;
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    const auto piece = tokens.subspan(at, std::min<std::size_t>(chunk, tokens.size() - at));
    const Work work{&context, piece, Rows::all};
    engine.step({&work, 1});
    for (std::size_t i = 0; i < piece.size(); ++i) {
      const std::span<const float> row = context.logits(static_cast<int>(i));
      all.insert(all.end(), row.begin(), row.end());
    }
  }
  return all;
}

// Infinite where a value is no number.
inline double largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(a[i]) - b[i]);
    if (std::isnan(difference)) return INFINITY;
    largest = std::max(largest, difference);
  }
  return largest;
}

// Of the logits of the tokens from `first` on and the rows that a vector has of them. Infinite when
// it has none.
inline double difference_from(const nlohmann::json& vector, std::span<const float> logits,
                              std::size_t vocab, std::size_t first = 0) {
  double largest = -1;
  for (const auto& [row, values] : vector["logits"].items()) {
    const std::size_t at = std::stoul(row);
    if (at < first || (at - first) * vocab >= logits.size()) continue;
    largest = std::max(largest, largest_difference(logits.subspan((at - first) * vocab, vocab),
                                                   values.get<std::vector<float>>()));
  }
  return largest < 0 ? INFINITY : largest;
}

// Mean Kullback-Leibler divergence of the distributions that rows of logits give, from `wanted`.
inline double mean_divergence(std::span<const float> wanted, std::span<const float> got,
                              std::size_t vocab) {
  double total = 0;
  for (std::size_t row = 0; row + vocab <= wanted.size(); row += vocab) {
    double sums[2] = {};
    for (std::size_t i = 0; i < vocab; ++i) {
      sums[0] += std::exp(double(wanted[row + i]));
      sums[1] += std::exp(double(got[row + i]));
    }
    for (std::size_t i = 0; i < vocab; ++i) {
      const double log_p = wanted[row + i] - std::log(sums[0]);
      total += std::exp(log_p) * (log_p - (got[row + i] - std::log(sums[1])));
    }
  }
  return total / (static_cast<double>(wanted.size()) / static_cast<double>(vocab));
}

// A fixed list of tokens below `vocab`.
inline std::vector<Token> some_tokens(int n, int vocab, std::uint32_t seed = 1) {
  std::vector<Token> tokens(n);
  for (Token& token : tokens) {
    seed = seed * 1664525 + 1013904223;
    token = static_cast<Token>((seed >> 8) % vocab);
  }
  return tokens;
}

// Logits of the second half of the tokens, at a context that has been through all there is: stepped
// beside another, rewound, saved, loaded elsewhere, and stepped beside another again.
inline std::vector<float> run_about(Engine& engine, std::span<const Token> tokens) {
  const auto before = tokens.first(tokens.size() / 2), after = tokens.subspan(before.size());
  const std::vector<Token> others = some_tokens(60, engine.vocab_size(), 77);
  const auto context = engine.new_context(), beside = engine.new_context();
  const Work both[] = {{beside.get(), std::span(others).first(20), Rows::last},
                       {context.get(), before, Rows::none}};
  engine.step(both);
  const Mark mark = context->mark();
  const Work wrong{context.get(), std::span(others).subspan(20), Rows::last};
  engine.step({&wrong, 1});
  context->rewind(mark);
  std::vector<std::byte> snapshot;
  context->save(snapshot);
  const auto copy = engine.new_context();
  copy->load(snapshot);
  const Work again[] = {{copy.get(), after, Rows::all},
                        {beside.get(), std::span(others).subspan(20, 1), Rows::last}};
  engine.step(again);
  std::vector<float> all;
  for (std::size_t i = 0; i < after.size(); ++i) {
    const std::span<const float> row = copy->logits(static_cast<int>(i));
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

}  // namespace corvid::model::testing
