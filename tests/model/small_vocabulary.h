// A vocabulary of single bytes, to which tests add what they are about.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/model/gguf_writer.h"

namespace corvid::model::testing {

// GPT-2's stand-in for a byte, as it is written in vocabularies.
inline std::string stand_in(int byte) {
  const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  int code = byte;
  if (!itself) {
    code = 0x100;
    for (int other = 0; other < byte; ++other) {
      code += !((other >= 33 && other <= 126) || (other >= 161 && other <= 172) || other >= 174);
    }
  }
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

// A vocabulary of the 256 bytes, two specials and what the test adds.
struct SmallVocabulary {
  std::vector<std::string> tokens = {"<bos>", "<eos>"};
  std::vector<std::int32_t> types = {3, 3};
  std::vector<std::string> merges;

  SmallVocabulary() {
    for (int byte = 0; byte < 256; ++byte) add(stand_in(byte));
  }
  void add(std::string token, std::int32_t type = 1) {
    tokens.push_back(std::move(token));
    types.push_back(type);
  }
  GgufWriter writer(const std::string& pre = "deepseek-v3") const {
    GgufWriter writer;
    writer.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", pre);
    writer.texts("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", types);
    writer.texts("tokenizer.ggml.merges", merges);
    writer.u32("tokenizer.ggml.bos_token_id", 0).u32("tokenizer.ggml.eos_token_id", 1);
    return writer;
  }
};

}  // namespace corvid::model::testing
