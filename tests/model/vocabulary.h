// The DeepSeek-V3.2 vocabulary and reference data, loaded once per test program.
#pragma once

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "model/files/gguf.h"
#include "model/text/chat_format.h"
#include "model/text/tokenizer.h"
#include "tests/model/gguf_writer.h"

namespace corvid::model::testing {

inline std::string vector_path(const std::string& name) {
  return std::string(CORVID_SOURCE_DIR) + "/tests/vectors/" + name;
}

inline nlohmann::ordered_json read_vector(const std::string& name) {
  std::ifstream file(vector_path(name));
  return nlohmann::ordered_json::parse(file);
}

inline std::shared_ptr<const GgufFile> deepseek_vocabulary() {
  static const auto file = GgufFile::open(vector_path("deepseek-v3.2-vocab.gguf"));
  return file;
}

inline std::shared_ptr<const Tokenizer> deepseek_tokenizer() {
  static const auto tokenizer = Tokenizer::load(*deepseek_vocabulary());
  return tokenizer;
}

// The DeepSeek-V3.2 vocabulary with what `format` needs in place of its placeholder tokens.
inline GgufWriter vocabulary_writer(const ChatFormat& format,
                                    const std::string& pre = "deepseek-v3") {
  const auto file = deepseek_vocabulary();
  const auto& names = *file->strings("tokenizer.ggml.tokens");
  std::vector<std::string> tokens(names.begin(), names.end()), merges;
  std::vector<std::string> wanted;
  for (std::string_view token : format.special_tokens()) {
    if (!deepseek_tokenizer()->special(token)) wanted.emplace_back(token);
  }
  for (std::size_t i = 0; i < tokens.size() && !wanted.empty(); ++i) {
    if (!tokens[i].starts_with("<｜place▁holder")) continue;
    tokens[i] = wanted.back();
    wanted.pop_back();
  }
  for (std::string_view merge : *file->strings("tokenizer.ggml.merges")) merges.emplace_back(merge);
  std::vector<std::int32_t> types;
  for (std::int64_t type : *file->integers("tokenizer.ggml.token_type")) {
    types.push_back(static_cast<std::int32_t>(type));
  }
  GgufWriter writer;
  writer.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", pre);
  writer.texts("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", types);
  writer.texts("tokenizer.ggml.merges", merges);
  writer.u32("tokenizer.ggml.bos_token_id", 0).u32("tokenizer.ggml.eos_token_id", 1);
  return writer;
}

inline std::shared_ptr<const Tokenizer> tokenizer_for(const ChatFormat& format) {
  static std::map<std::string, std::shared_ptr<const Tokenizer>, std::less<>> made;
  auto& tokenizer = made[std::string(format.name())];
  if (!tokenizer) tokenizer = Tokenizer::load(*gguf_from(vocabulary_writer(format).bytes()));
  return tokenizer;
}

}  // namespace corvid::model::testing
