// Any bytes tokenised with the vocabulary of DeepSeek-V3.2: decoding gives them back. And cut by
// every rule that there is: the pieces are not empty and concatenate back.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/files/gguf.h"
#include "model/text/pre_split.h"
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
  for (const char* rule : {"deepseek-v3", "deepseek-llm", "glm4"}) {
    std::vector<std::string_view> pieces;
    pre_split_named(rule)(text, pieces);
    std::string joined;
    for (std::string_view piece : pieces) {
      if (piece.empty()) std::abort();
      joined += piece;
    }
    if (joined != text) std::abort();
  }
  return 0;
}
