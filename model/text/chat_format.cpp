#include "model/text/chat_format.h"

#include "model/error.h"
#include "model/text/deepseek_v32.h"

namespace corvid::model {

std::shared_ptr<const ChatFormat> ChatFormat::named(std::string_view name) {
  if (name == "deepseek-v3.2") return v32::chat_format();
  throw ModelError("there is no chat format '" + std::string(name) + "'; known are deepseek-v3.2");
}

std::shared_ptr<const ChatFormat> ChatFormat::for_tokenizer(const Tokenizer& tokenizer) {
  auto format = named("deepseek-v3.2");
  for (std::string_view token : format->special_tokens()) {
    if (!tokenizer.special(token)) {
      throw ModelError("the vocabulary has no token '" + std::string(token) +
                       "', which the chat format " + std::string(format->name()) +
                       " needs; use a chat model of the DeepSeek-V3.2 family");
    }
  }
  return format;
}

std::string text_of(const Pieces& pieces) {
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return text;
}

}  // namespace corvid::model
