// Any bytes tokenised with the vocabulary of DeepSeek-V3.2: decoding gives them back.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/files/gguf.h"
#include "model/text/tokenizer.h"

using namespace corvid::model;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto tokenizer =
      Tokenizer::load(*GgufFile::open(CORVID_SOURCE_DIR "/tests/vectors/deepseek-v3.2-vocab.gguf"));
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (tokenizer->decode(tokenizer->encode(text)) != text) std::abort();
  if (tokenizer->decode(tokenizer->encode_special(text)) != text) std::abort();
  const auto whole = tokenizer->encode(text);
  const auto settled = tokenizer->encode_settled(text);
  for (std::size_t i = 0; i < settled.size(); ++i) {
    if (settled[i] != whole[i]) std::abort();
  }
  return 0;
}
