// The DeepSeek-V3.2 vocabulary and reference data, loaded once per test program.
#pragma once

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "model/files/gguf.h"
#include "model/text/tokenizer.h"

namespace corvid::model::testing {

inline std::string vector_path(const std::string& name) {
  return std::string(CORVID_SOURCE_DIR) + "/tests/vectors/" + name;
}

inline nlohmann::ordered_json read_vector(const std::string& name) {
  std::ifstream file(vector_path(name));
  return nlohmann::ordered_json::parse(file);
}

inline std::shared_ptr<const Tokenizer> deepseek_tokenizer() {
  static const auto tokenizer =
      Tokenizer::load(*GgufFile::open(vector_path("deepseek-v3.2-vocab.gguf")));
  return tokenizer;
}

}  // namespace corvid::model::testing
