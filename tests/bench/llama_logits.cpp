// The logits of every token by llama.cpp, for divergence.py: llama_logits MODEL IDS OUT [THREADS]
//
// Reads token ids as text, writes raw f32 [tokens, vocab]. Built by hand where llama.cpp is:
//   c++ -std=c++17 -O1 -I LLAMA/include -I LLAMA/ggml/include llama_logits.cpp
//     -L LLAMA/build/bin -Wl,-rpath,LLAMA/build/bin -lllama -lggml -lggml-base -o llama_logits
#include <llama.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

int main(int argc, char** argv) {
  constexpr int kBatch = 512;
  if (argc < 4) return 2;
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  ggml_backend_load_all();
  llama_model_params of_model = llama_model_default_params();
  of_model.n_gpu_layers = 0;
  of_model.use_extra_bufts = false;  // weights as they are in the file
  llama_model* const model = llama_model_load_from_file(argv[1], of_model);
  std::ifstream in(argv[2]);
  std::vector<llama_token> ids{std::istream_iterator<llama_token>(in), {}};
  std::FILE* const out = std::fopen(argv[3], "wb");
  if (!model || !out) return 1;

  llama_context_params of_context = llama_context_default_params();
  of_context.n_ctx = static_cast<uint32_t>(ids.size() + kBatch);
  of_context.n_batch = of_context.n_ubatch = kBatch;
  of_context.n_threads = of_context.n_threads_batch = argc > 4 ? std::atoi(argv[4]) : 1;
  llama_context* const context = llama_init_from_model(model, of_context);
  if (!context) return 1;
  const int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
  for (std::size_t at = 0; at < ids.size(); at += kBatch) {
    llama_batch batch = llama_batch_init(kBatch, 0, 1);
    batch.n_tokens = static_cast<int>(std::min<std::size_t>(kBatch, ids.size() - at));
    for (int i = 0; i < batch.n_tokens; ++i) {
      batch.token[i] = ids[at + i];
      batch.pos[i] = static_cast<llama_pos>(at + i);
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = 1;
    }
    if (llama_decode(context, batch) != 0) return 1;
    for (int i = 0; i < batch.n_tokens; ++i) {
      std::fwrite(llama_get_logits_ith(context, i), sizeof(float), vocab, out);
    }
    llama_batch_free(batch);
  }
  return std::fclose(out) == 0 ? 0 : 1;
}
