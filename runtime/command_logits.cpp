// corvid logits: the logits of every token of a list, for comparison with other engines.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "model/engine.h"
#include "model/error.h"
#include "model/files/gguf.h"
#include "runtime/commands.h"
#include "runtime/error.h"

namespace corvid::runtime {
namespace {

struct LogitsOptions {
  std::string model, tokens, out;
  model::EngineOptions engine;
  int chunk = 0;
};

std::vector<model::Token> read_tokens(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw RuntimeError("cannot read '" + path + "'", kUsage);
  std::vector<model::Token> tokens{std::istream_iterator<model::Token>(in), {}};
  if (!in.eof()) throw RuntimeError("'" + path + "' holds something that is no token id", kUsage);
  return tokens;
}

void write_logits(const LogitsOptions& options) {
  const std::vector<model::Token> tokens = read_tokens(options.tokens);
  const auto engine = model::Engine::load(model::GgufFile::open(options.model), options.engine);
  const auto context = engine->new_context();
  std::ofstream out(options.out, std::ios::binary);
  if (!out) throw RuntimeError("cannot write '" + options.out + "'", kUsage);
  const std::size_t most = engine->max_batch_tokens();
  const std::size_t chunk = options.chunk > 0 ? std::min<std::size_t>(options.chunk, most) : most;
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    const std::size_t n = std::min(chunk, tokens.size() - at);
    const model::Work work{context.get(), std::span(tokens).subspan(at, n), model::Rows::all};
    engine->step({&work, 1});
    for (std::size_t i = 0; i < n; ++i) {
      const std::span<const float> row = context->logits(static_cast<int>(i));
      out.write(reinterpret_cast<const char*>(row.data()),
                static_cast<std::streamsize>(row.size_bytes()));
    }
  }
  if (!out.flush()) throw RuntimeError("cannot write '" + options.out + "'");
}

}  // namespace

void add_logits_command(CLI::App& app) {
  auto options = std::make_shared<LogitsOptions>();
  CLI::App* command = app.add_subcommand(
      "logits", "Run a model over token ids and write the logits of every one of them");
  command->add_option("--model", options->model, "A GGUF file")->required()->type_name("FILE");
  command->add_option("--tokens", options->tokens, "Token ids, separated by white space")
      ->required()
      ->type_name("FILE");
  command->add_option("--out", options->out, "Raw f32 [n_tokens, vocab]")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--backend", options->engine.backend,
                   "auto, cpu, vulkan or vulkan:N (see corvid devices)")
      ->capture_default_str();
  command->add_option("--threads", options->engine.threads, "Compute threads (0: one per core)");
  command->add_option("--kernels", options->engine.kernels,
                      "auto, scalar, avx2, avxvnni, avx512, amx");
  command->add_flag("--exact", options->engine.exact,
                    "Convert the weights to f32 and compute in f32: what quantised weights mean");
  command->add_option("--chunk", options->chunk, "Tokens per step (0: as many as fit)");
  command->callback([options] { write_logits(*options); });
}

}  // namespace corvid::runtime
